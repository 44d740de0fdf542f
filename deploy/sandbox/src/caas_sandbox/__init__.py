"""Partners of CaaS as separate processes: payment gateway, vehicles, VSS, mail, identity.

Nothing here imports the services or their contracts; each partner keeps its own durable books.
"""
