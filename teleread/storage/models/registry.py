"""All tables in one metadata: import this where every model has to be known."""

from teleread.storage.models import (
    accounts,
    deliveries,
    facilities,
    factors,
    orders,
    readings,
    records,
    reports,
    studies,
)
from teleread.storage.models.base import Base

MODULES = (accounts, deliveries, facilities, factors, orders, readings, records, reports, studies)
metadata = Base.metadata
