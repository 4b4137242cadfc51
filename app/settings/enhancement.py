"""How tickets are enhanced, and which model, if any, may write."""

from __future__ import annotations

from pydantic import BaseModel, Field, SecretStr


class LlmSettings(BaseModel):
    """An OpenAI-compatible chat endpoint. Without ``base_url`` notes are extractive and nothing leaves."""

    base_url: str | None = Field(
        None, description="Base URL of an OpenAI-compatible API, up to and including /v1; unset means no model is used."
    )
    api_key: SecretStr = Field(SecretStr(""), description="Bearer key for the model's API; empty sends none.")
    model: str = Field("", max_length=200, description="Model name sent in each request.")
    fallback_model: str = Field(
        "", max_length=200, description="Second model, tried once when the first fails; empty means no second try."
    )
    first_timeout_s: float = Field(20.0, gt=0, le=300, description="Seconds the first model has for its answer.")
    deadline_s: float = Field(
        40.0, gt=0, le=600, description="Seconds for all model calls of one enhancement together."
    )
    max_input_tokens: int = Field(
        8000, ge=500, description="Tokens of evidence and ticket sent at the most (estimated)."
    )
    max_output_tokens: int = Field(900, ge=100, description="Tokens a model may answer with.")
    input_price_per_million: float = Field(0.0, ge=0, description="US dollars per million input tokens, for the cap.")
    output_price_per_million: float = Field(0.0, ge=0, description="US dollars per million output tokens, for the cap.")
    daily_cost_cap: float = Field(
        5.0, ge=0, description="US dollars a tenant may spend on models per UTC day; above it notes are extractive."
    )
    structured_output: bool = Field(
        True, description="Send response_format json_schema; switch off for servers that refuse the field."
    )
    breaker_failures: int = Field(
        5, ge=1, description="Failed model calls of a tenant within breaker_window_s that pause model use for it."
    )
    breaker_window_s: int = Field(120, ge=1, description="Seconds over which failed model calls are counted.")


class EnhancementSettings(BaseModel):
    """The pipeline from ticket to note."""

    enabled: bool = Field(True, description="False records tickets but writes no notes.")
    desk_timeout_s: float = Field(10.0, gt=0, le=60, description="Seconds for one call to a ticket system.")
    context_timeout_s: float = Field(5.0, gt=0, le=60, description="Seconds one context source has to answer.")
    search_window: int = Field(
        500, ge=100, description="Newest documents of a tenant whose titles are compared by trigrams in one search."
    )
    max_candidates: int = Field(30, ge=1, le=200, description="Hits per context source that reach the re-rank.")
    max_evidence: int = Field(10, ge=1, le=30, description="Evidence items a note may rest on.")
    llm: LlmSettings = Field(default_factory=LlmSettings, description="The model, if any.")
