"""Reports that people want to read: one HTML file each, with the videos inside and nothing fetched from anywhere."""

from mvmodel.reports.entries import SETTINGS, Setting, VideoEntry
from mvmodel.reports.html import leaderboard_report, motion_report

__all__ = ["SETTINGS", "Setting", "VideoEntry", "leaderboard_report", "motion_report"]
