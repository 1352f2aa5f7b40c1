using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Npgsql;
using Pulse.Hosting;
using Pulse.Messaging;
using Pulse.Messaging.Outbox;
using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;

namespace Pulse.Worker.Invariants;

/// <summary>
/// <c>Pulse.Worker.dll doctor</c>: every invariant over the whole database, and what waits where, for an operator. Changes nothing.
/// </summary>
static class Doctor
{
    // As the slices name their endpoints. Each has an _error and a _skipped queue once something got into it.
    internal static readonly string[] Endpoints = ["provisioning", "metrics", "billing-commands", "entitlements-changed", "stripe-events", "billing-sync", "lifecycle", "lifecycle-metrics", "dead-letters", "replays", "replay-previews"];

    static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        WriteIndented = true,
    };

    /// <param name="args"><c>--json</c>; <c>--at-rest</c>: nothing is under way, so what is unfinished or due now is a violation, however young.</param>
    /// <param name="output">Where it is printed.</param>
    /// <returns>0 when everything holds and both servers answer, 1 when not, 2 for an option that it does not know.</returns>
    /// <exception cref="SettingsException">A variable is missing or wrong.</exception>
    public static async Task<int> RunAsync(IReadOnlyList<string> args, TextWriter output)
    {
        if (args.FirstOrDefault(arg => arg is not ("--json" or "--at-rest")) is { } unknown)
        {
            await output.WriteLineAsync($"doctor does not know '{unknown}': --json and --at-rest are what there is.");
            return 2;
        }

        var builder = PulseProcess.CreateBuilder([], out var settings, "PULSE_WORKER_URL", "http://127.0.0.1:8081");
        var worker = WorkerOptions.Read(settings);
        var options = InvariantOptions.Read(settings);
        settings.ThrowIfInvalid();
        await using var app = builder.Build();
        await using var dataSource = NpgsqlDataSource.Create(worker.Postgres);

        var report = await ExamineAsync(
            dataSource, [worker.Messaging.Broker, .. worker.Messaging.OtherNodes],
            Scope(options, worker.Messaging, app.Services.GetRequiredService<TimeProvider>().GetUtcNow(), args.Contains("--at-rest")));
        await output.WriteLineAsync(args.Contains("--json") ? JsonSerializer.Serialize(report, Json) : report.ToTable());
        return report.Healthy ? 0 : 1;
    }

    static InvariantScope Scope(InvariantOptions options, MessagingOptions messaging, DateTimeOffset now, bool atRest) => new()
    {
        Now = now,
        UnfinishedAfter = atRest ? TimeSpan.Zero : options.UnfinishedAfter,
        OutboxAfter = atRest ? TimeSpan.Zero : options.OutboxAfter,
        InboxKept = messaging.InboxRetention - TimeSpan.FromDays(1),
    };

    internal static async Task<DoctorReport> ExamineAsync(NpgsqlDataSource dataSource, IReadOnlyList<Uri> broker, InvariantScope scope)
    {
        IReadOnlyList<Finding> findings = [];
        (long Due, DateTime? Oldest)? outbox = null;
        string? postgresError = null;
        try
        {
            findings = await InvariantTable.CheckAsync(dataSource, scope, CancellationToken.None);
            outbox = await OutboxDepth.ReadAsync(dataSource, scope.Now.UtcDateTime, CancellationToken.None);
        }
        catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
        {
            postgresError = exception.Message;
        }

        var (queues, brokerError) = await QueuesAsync(broker);
        return new DoctorReport
        {
            At = scope.Now,
            Invariants = [.. findings.Select(InvariantReport.Of)],
            OutboxDue = outbox?.Due,
            OutboxOldestSeconds = outbox is { Oldest: { } oldest } ? (scope.Now.UtcDateTime - oldest).TotalSeconds : null,
            Queues = queues,
            PostgresError = postgresError,
            RabbitMqError = brokerError,
        };
    }

    // Asked of the queues themselves: the management plugin's statistics are seconds old.
    static async Task<(SortedDictionary<string, uint> Ready, string? Error)> QueuesAsync(IReadOnlyList<Uri> broker)
    {
        var ready = new SortedDictionary<string, uint>(StringComparer.Ordinal);
        try
        {
            var factory = new ConnectionFactory { Uri = broker[0], RequestedConnectionTimeout = TimeSpan.FromSeconds(5), AutomaticRecoveryEnabled = false };
            await using var connection = await factory.CreateConnectionAsync([.. broker.Select(node => new ConnectionFactory { Uri = node }.Endpoint)], "pulse doctor");
            foreach (var queue in Endpoints.SelectMany(name => new[] { name, $"{name}_error", $"{name}_skipped" }))
            {
                // A queue that is not there closes the channel, so each has its own.
                await using var channel = await connection.CreateChannelAsync();
                try
                {
                    ready[queue] = (await channel.QueueDeclarePassiveAsync(queue)).MessageCount;
                }
                catch (OperationInterruptedException exception) when (exception.ShutdownReason?.ReplyCode == Constants.NotFound)
                {
                }
            }

            return (ready, null);
        }
        catch (Exception exception) when (exception is BrokerUnreachableException or OperationInterruptedException or AlreadyClosedException
            or IOException or TimeoutException or OperationCanceledException)
        {
            return (ready, exception.Message.Split('\n', 2)[0]);
        }
    }
}

/// <summary>One invariant in the report.</summary>
sealed record InvariantReport
{
    public required string Name { get; init; }
    public required string Promise { get; init; }
    public required long Violations { get; init; }
    public required IReadOnlyList<string> Samples { get; init; }

    /// <summary>Only for a broken one.</summary>
    public string? WhatToDo { get; init; }

    public static InvariantReport Of(Finding finding) => new()
    {
        Name = finding.Invariant.Name,
        Promise = finding.Invariant.Promise,
        Violations = finding.Count,
        Samples = finding.Samples,
        WhatToDo = finding.Holds ? null : finding.Invariant.WhatToDo,
    };
}

/// <summary>What the doctor found, as it is in <c>--json</c>.</summary>
sealed record DoctorReport
{
    public bool Healthy => PostgresError is null && RabbitMqError is null && Invariants.All(invariant => invariant.Violations == 0);
    public required DateTimeOffset At { get; init; }
    public required IReadOnlyList<InvariantReport> Invariants { get; init; }

    /// <summary>Messages that are due and not yet with the broker.</summary>
    public long? OutboxDue { get; init; }
    public double? OutboxOldestSeconds { get; init; }

    /// <summary>Messages that are ready, by queue; a queue that does not exist is left out.</summary>
    public required SortedDictionary<string, uint> Queues { get; init; }
    public string? PostgresError { get; init; }
    public string? RabbitMqError { get; init; }

    public string ToTable()
    {
        var lines = new List<string>();
        foreach (var invariant in Invariants)
        {
            if (invariant.Violations == 0)
            {
                lines.Add($"  ✓ {invariant.Name,-26} {invariant.Promise}");
                continue;
            }

            lines.Add($"  ✗ {invariant.Name,-26} {invariant.Promise}: broken by {invariant.Violations}");
            lines.AddRange(invariant.Samples.Select(sample => $"      {sample}"));
            lines.Add($"    → {invariant.WhatToDo}");
        }

        if (PostgresError is not null)
            lines.Add($"  ✗ Postgres does not answer: {PostgresError}");
        if (OutboxDue is { } due)
            lines.Add(string.Create(CultureInfo.InvariantCulture, $"    {"outbox",-26} {due} due{(OutboxOldestSeconds is { } age ? $", the oldest for {age:0.0} s" : "")}"));
        lines.AddRange(Queues.Select(queue =>
            $"  {(queue.Key.EndsWith("_error", StringComparison.Ordinal) && queue.Value > 0 ? "!" : " ")} {$"queue {queue.Key}",-26} {queue.Value} ready"));
        if (RabbitMqError is not null)
            lines.Add($"  ✗ RabbitMQ does not answer: {RabbitMqError}");

        lines.Add(Healthy
            ? $"All {Invariants.Count} invariants hold."
            : PostgresError is not null || RabbitMqError is not null
                ? "Not everything could be looked at."
                : $"{Invariants.Count(invariant => invariant.Violations > 0)} of {Invariants.Count} invariants are broken.");
        return string.Join(Environment.NewLine, lines);
    }
}
