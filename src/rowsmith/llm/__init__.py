"""Requests and answers: providers behind their wire formats, structured output, limits and retries."""
