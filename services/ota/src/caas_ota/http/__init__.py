"""What people and other systems may ask over HTTP; nothing here changes anything."""

from caas_ota.http.routes import router_of

__all__ = ["router_of"]
