"""What payments does with messages, timers, the gateway's answers and operators' wishes."""
