"""Business refusals over HTTP: a stable code and a status each (RFC 9457)."""

from caas_chassis.errors import Problem


class PurchaseNotFound(Problem):
    """No such purchase, or somebody else's."""

    status = 404
    code = "purchase_not_found"
    title = "There is no such purchase"


class VehicleNotFound(Problem):
    """No such vehicle, or somebody else's."""

    status = 404
    code = "vehicle_not_found"
    title = "There is no such vehicle"


class VehicleReportedStolen(Problem):
    """Nothing is sold for a vehicle that was reported stolen (THF)."""

    status = 409
    code = "vehicle_reported_stolen"
    title = "The vehicle was reported stolen"


class CustomerNotFound(Problem):
    """A vehicle names a customer who is not registered."""

    status = 422
    code = "customer_not_found"
    title = "There is no such customer"


class PurchaseIdReused(Problem):
    """The id of a purchase came again with other content."""

    status = 422
    code = "purchase_id_reused"
    title = "This purchase exists with other content"


class ServiceUnknown(Problem):
    """The catalogue does not have the service (SVC-1)."""

    status = 404
    code = "service_unknown"
    title = "There is no such service"


class ServiceNotAllowed(Problem):
    """The vehicle's model or equipment does not allow the service (SVC-1)."""

    status = 422
    code = "service_not_allowed"
    title = "The service does not fit this vehicle"


class KindNotOffered(Problem):
    """The service is not sold for ever."""

    status = 422
    code = "kind_not_offered"
    title = "The service is not offered in this way"


class DurationNotOffered(Problem):
    """The service has no price for this duration."""

    status = 422
    code = "duration_not_offered"
    title = "The service is not offered for this duration"


class DurationNotAllowed(Problem):
    """A duration for a purchase that has none."""

    status = 422
    code = "duration_not_allowed"
    title = "This purchase has no duration"


class PeriodNotOffered(Problem):
    """The service has no price for periods of so many months (REC-1)."""

    status = 422
    code = "period_not_offered"
    title = "The service is not offered for this period"


class PeriodNotAllowed(Problem):
    """A period for a purchase that does not recur."""

    status = 422
    code = "period_not_allowed"
    title = "This purchase has no period"


class StartNotAllowed(Problem):
    """A planned purchase without a date to come, or a date for another one (PLN-1)."""

    status = 422
    code = "start_not_allowed"
    title = "The purchase cannot start on this date"


class TimeZoneUnknown(Problem):
    """No IANA name of a time zone."""

    status = 422
    code = "time_zone_unknown"
    title = "There is no such time zone"


class ConsentMissing(Problem):
    """The customer did not consent to immediate performance (DES-8)."""

    status = 422
    code = "consent_missing"
    title = "The customer's consent is needed"


class ServiceAlreadyBought(Problem):
    """The service is active in the vehicle, or a purchase of it is running."""

    status = 409
    code = "service_already_bought"
    title = "The service is active or being bought"


class AlreadyActive(Problem):
    """Too late to cancel: the service is in the car."""

    status = 409
    code = "already_active"
    title = "The service is active"


class AlreadyEnded(Problem):
    """There is nothing to cancel any more."""

    status = 409
    code = "already_ended"
    title = "The purchase has ended"


class WithdrawalPeriodOver(Problem):
    """The 14 days of the right of withdrawal are over (DES-1)."""

    status = 409
    code = "withdrawal_period_over"
    title = "The period for withdrawing is over"


class ServiceEnded(Problem):
    """A service of 14 days or less can be withdrawn from until it ends (DES-2)."""

    status = 409
    code = "service_ended"
    title = "The service has ended"


class CancelInstead(Problem):
    """Recurring purchases and subscriptions are cancelled for the future (DES-3)."""

    status = 409
    code = "cancel_instead"
    title = "Cancel it: nothing more is charged then"


class NothingToWithdraw(Problem):
    """The purchase ended without the service and without a charge."""

    status = 409
    code = "nothing_to_withdraw"
    title = "There is nothing to withdraw from"


class AlreadyWithdrawn(Problem):
    """The purchase was withdrawn from (DES-6)."""

    status = 409
    code = "already_withdrawn"
    title = "The purchase was withdrawn from"


class WithdrawalNotFound(Problem):
    """No such declaration of this purchase."""

    status = 404
    code = "withdrawal_not_found"
    title = "There is no such withdrawal"


class PaymentDeclined(Problem):
    """The payment was declined or refused: nothing activated, nothing charged (SVC-7)."""

    status = 402
    code = "payment_declined"
    title = "The payment was declined"


class MaintenanceBlocks(Problem):
    """The vehicle's maintenance is overdue, or cannot be checked (SVC-2)."""

    status = 409
    code = "maintenance_blocks"
    title = "The vehicle's maintenance does not allow the purchase"


class ActivationFailed(Problem):
    """The service could not be activated; nothing was charged (SVC-5)."""

    status = 409
    code = "activation_failed"
    title = "The service could not be activated"


class PaymentUnavailable(Problem):
    """The payment gateway could not be reached; it is established that nothing was held."""

    status = 409
    code = "payment_unavailable"
    title = "The payment could not be made"


class PurchaseCancelled(Problem):
    """The purchase was cancelled while the caller waited (SVC-11)."""

    status = 409
    code = "purchase_cancelled"
    title = "The purchase was cancelled"


class OrderNotFound(Problem):
    """No such vehicle order, or somebody else's."""

    status = 404
    code = "order_not_found"
    title = "There is no such vehicle order"


class ModelUnknown(Problem):
    """The catalogue of vehicles does not have the model."""

    status = 422
    code = "model_unknown"
    title = "There is no such model"


class OptionUnknown(Problem):
    """The catalogue of vehicles does not have the option."""

    status = 422
    code = "option_unknown"
    title = "There is no such option"


class OptionNotAllowed(Problem):
    """The model cannot have the option, or it is named twice."""

    status = 422
    code = "option_not_allowed"
    title = "The option does not fit this configuration"


class DealershipUnknown(Problem):
    """There is no such dealership."""

    status = 422
    code = "dealership_unknown"
    title = "There is no such dealership"


class VehicleNotAvailable(Problem):
    """Somebody else has the vehicle; nothing was charged (RES-6)."""

    status = 409
    code = "vehicle_not_available"
    title = "The vehicle is not on sale any more"


class OrderNotReady(Problem):
    """The vehicle is not at the dealership yet (FIN-1)."""

    status = 409
    code = "order_not_ready"
    title = "The final payment is not due yet"


class PaymentInProgress(Problem):
    """Another final payment of this order is under way; one at a time is one at all."""

    status = 409
    code = "payment_in_progress"
    title = "A payment of this order is under way"


class OrderAlreadyPaid(Problem):
    """The order is paid in full."""

    status = 409
    code = "order_already_paid"
    title = "The order is paid"


class OrderForfeited(Problem):
    """The order has ended: declined, forfeited or never reserved (FIN-4)."""

    status = 409
    code = "order_forfeited"
    title = "The order has ended"


class DeadlinePassed(Problem):
    """The final payment is overdue (FIN-6)."""

    status = 409
    code = "deadline_passed"
    title = "The deadline of the final payment has passed"


class WrongAmount(Problem):
    """The caller names another amount than is due (FIN-1)."""

    status = 422
    code = "wrong_amount"
    title = "Another amount is due"


class NothingToResubmit(Problem):
    """No partner has refused anything about this order."""

    status = 409
    code = "nothing_to_resubmit"
    title = "There is nothing to send again"


class InvitationInvalid(Problem):
    """The link does not exist, was used, or has expired; which of them is told to nobody (RES-2)."""

    status = 410
    code = "invitation_invalid"
    title = "This invitation cannot be used"


class PublishedPlanChanged(Exception):
    """The packaged catalogue changes the terms of a rate plan's version that billing was told (SUB-3)."""


class WebhookRefused(Problem):
    """A partner's webhook is forged, stale or malformed; nothing changed. `detail` shows nothing of it."""

    status = 400
    code = "webhook_refused"
    title = "The webhook was not accepted"
