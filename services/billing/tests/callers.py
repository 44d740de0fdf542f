"""Who calls billing over HTTP in its tests: the identity provider that they come from, and their tokens."""

from caas_chassis.testing.identity import IdentityProvider

identity = IdentityProvider()
ANA = identity.bearer("ana", "customer")
BEN = identity.bearer("ben", "customer")
OPERATOR = identity.bearer("olga", "operator")
