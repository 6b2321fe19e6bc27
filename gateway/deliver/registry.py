"""The ways out that a facility has."""

from gateway.deliver.base import Route
from gateway.deliver.dicom_store import DICOMStoreRoute
from gateway.deliver.folder import FolderRoute
from gateway.settings import GatewaySettings


def routes_of(settings: GatewaySettings) -> list[Route]:
    """Return the destinations of every report of this facility."""
    stores: list[Route] = [DICOMStoreRoute(pacs, settings.ae_title) for pacs in settings.pacs]
    return [*stores, FolderRoute(settings.deliver_folder)]
