"""All tables in one metadata: import this where every model has to be known."""

from teleread.storage.models import (
    accounts,
    critical,
    deliveries,
    facilities,
    factors,
    orders,
    readings,
    records,
    reports,
    studies,
    views,
)
from teleread.storage.models.base import Base

MODULES = (
    accounts,
    critical,
    deliveries,
    facilities,
    factors,
    orders,
    readings,
    records,
    reports,
    studies,
    views,
)
metadata = Base.metadata
