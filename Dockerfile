FROM python:3.11.14-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /opt/gateway
COPY requirements.lock ./
RUN /opt/gateway/bin/pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY consumers consumers
RUN /opt/gateway/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /data --create-home gateway
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER gateway
WORKDIR /data
VOLUME /data
# The log and the store are in /data; the admin listener has to be reached from outside the container.
ENV CAMPAIGN_LOG_URL=sqlite:////data/log.db \
    CAMPAIGN_STORE_URL=sqlite:////data/state.db \
    CAMPAIGN_ADMIN_LISTEN=0.0.0.0:8081
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
ENTRYPOINT ["gateway"]
CMD ["run"]
