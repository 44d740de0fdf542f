"""The vehicles, behind the IoT gateway: messages, signatures and the MQTT session."""
