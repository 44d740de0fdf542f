"""The gateway's room (RCN-1): settlement feeds, as partners that may be slow, down or wrong."""

from caas_reconciliation.gateway.caas import GatewaySettlements as GatewaySettlements
from caas_reconciliation.gateway.port import FeedAnswer as FeedAnswer
from caas_reconciliation.gateway.port import Page as Page
from caas_reconciliation.gateway.port import SettlementFeed as SettlementFeed
from caas_reconciliation.gateway.port import Unavailable as Unavailable
from caas_reconciliation.gateway.port import Unusable as Unusable
from caas_reconciliation.gateway.stripe import StripeSettlements as StripeSettlements
