"""The ota service: activations of vehicle services over the air, proved by the vehicle's own signature."""
