using Npgsql;
using Pulse.Hosting;
using Pulse.Messaging;
using Pulse.Prometheus;
using Pulse.Worker;
using Pulse.Worker.Audit;
using Pulse.Worker.Billing;
using Pulse.Worker.DeadLetters;
using Pulse.Worker.Dlq;
using Pulse.Worker.Hooks;
using Pulse.Worker.Invariants;
using Pulse.Worker.Keys;
using Pulse.Worker.Lifecycle;
using Pulse.Worker.Metrics;
using Pulse.Worker.Migrations;
using Pulse.Worker.Operations;
using Pulse.Worker.Provisioning;

switch (args)
{
    case ["doctor", .. var options]:
        return await PulseProcess.RunAsync(() => Doctor.RunAsync(options, Console.Out));
    case ["admin-key", .. var options]:
        return await PulseProcess.RunAsync(() => AdminKeyCommand.RunAsync(options, Console.Out, Console.Error));
    case ["billing", "reconcile", .. var options]:
        return await PulseProcess.RunAsync(() => ReconcileCommand.RunAsync(options, Console.Out));
    case ["dlq", .. var options]:
        return await PulseProcess.RunAsync(() => DlqCommand.RunAsync(options, Console.Out, Console.Error, !Console.IsOutputRedirected));
    case ["audit", .. var options]:
        return await PulseProcess.RunAsync(() => AuditCommand.RunAsync(options, Console.Out));
}

return await PulseProcess.RunAsync(() =>
{
    var builder = PulseProcess.CreateBuilder(args, out var settings, "PULSE_WORKER_URL", "http://127.0.0.1:8081");
    var worker = WorkerOptions.Read(settings);

    builder.Services.AddSingleton(_ => NpgsqlDataSource.Create(worker.Postgres.ConnectionString));
    builder.Services.AddHealthChecks().AddCheck<PostgresHealth>("postgres", tags: [PulseProcess.ReadyTag]);
    builder.Services.AddHostedService<MigrateAtStart>();
    builder.Services.AddPulseMessaging(worker.Messaging, bus =>
    {
        ProvisioningSlice.Add(bus, settings);
        BillingSlice.Add(bus, settings);
        HooksSlice.Add(bus, settings);
        LifecycleSlice.Add(bus, settings);
        DeadLetterSlice.Add(bus, settings);
        MetricsSlice.Add(bus, settings);
        InvariantsSlice.Add(bus, settings);
        AuditSlice.Add(bus, settings);
        OperationsSlice.Add(bus, settings);
    });
    settings.ThrowIfInvalid();

    var app = builder.Build();
    app.MapHealth();
    app.MapMetrics();
    return app;
});
