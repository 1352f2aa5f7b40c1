# Worker and ingress, one target each:  docker build --target worker .   docker build --target ingress .
# The target stripe is a double of Stripe for development.
FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
WORKDIR /pulse
COPY global.json Directory.Build.props Directory.Packages.props .editorconfig ./
COPY src/ src/
RUN dotnet publish src/Pulse.Worker -c Release -o /out/worker \
 && dotnet publish src/Pulse.Ingress -c Release -o /out/ingress

FROM build AS build-stripe
COPY tests/Pulse.StripeDouble/ tests/Pulse.StripeDouble/
RUN dotnet publish tests/Pulse.StripeDouble -c Release -o /out/stripe

FROM mcr.microsoft.com/dotnet/aspnet:10.0 AS base
WORKDIR /app
# The image's own unprivileged user.
USER $APP_UID
# Not 8080 for both: it is PULSE_WORKER_URL and PULSE_INGRESS_URL that say where each listens.
ENV ASPNETCORE_HTTP_PORTS= DOTNET_EnableDiagnostics=0

FROM base AS worker
ENV PULSE_WORKER_URL=http://0.0.0.0:8081
EXPOSE 8081
COPY --from=build /out/worker .
ENTRYPOINT ["dotnet", "Pulse.Worker.dll"]

FROM base AS stripe
ENV PULSE_STRIPE_URL=http://0.0.0.0:8082
EXPOSE 8082
COPY --from=build-stripe /out/stripe .
ENTRYPOINT ["dotnet", "Pulse.StripeDouble.dll"]

FROM base AS ingress
ENV PULSE_INGRESS_URL=http://0.0.0.0:8080
EXPOSE 8080
COPY --from=build /out/ingress .
ENTRYPOINT ["dotnet", "Pulse.Ingress.dll"]
