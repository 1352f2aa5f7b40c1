using System.Text.Json;
using MassTransit;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using NpgsqlTypes;
using Pulse.Contracts.DeadLetters;
using Pulse.EndToEnd.Messaging;
using Pulse.Hosting;
using Pulse.Messaging.Outbox;
using Pulse.Testing;
using Pulse.Worker.DeadLetters;

namespace Pulse.EndToEnd.DeadLetters;

/// <summary>How an operation ended.</summary>
public sealed record Outcome(Guid Id, string Status, string? Code, string? Result)
{
    public T As<T>() => JsonSerializer.Deserialize<T>(Result ?? throw new InvalidOperationException($"It was refused: {Code}."))!;
}

/// <summary>Workers with the slice and an endpoint <c>chores</c> on a real broker, and an operator who asks as ingress does.</summary>
public sealed class LetterBed : IAsyncLifetime
{
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    readonly Bed _bed = new();
    readonly List<Node> _nodes = [];

    public TestPostgres Postgres => _bed.Postgres;
    public TestBroker Broker => _bed.Broker;
    public TestClock Clock { get; } = new();

    /// <summary>Of all nodes.</summary>
    public Faults Faults { get; } = new();

    public async Task InitializeAsync()
    {
        await _bed.InitializeAsync();
        await RunAsync("create table bed.chores (chore uuid not null)");
    }

    public Task DisposeAsync() => _bed.DisposeAsync();

    internal async Task<Node> StartAsync(Func<string, Task>? atPoint = null, bool edit = true, bool deferring = false, TimeProvider? clock = null,
        Action<IBusRegistrationConfigurator, Settings>? more = null)
    {
        var settings = new Settings(new ConfigurationBuilder().AddInMemoryCollection([new("PULSE_REPLAY_EDIT", edit ? "true" : "false")]).Build());
        var node = await _bed.StartAsync(bus =>
        {
            bus.AddSingleton(Faults);
            if (deferring)
                bus.AddConsumer<DeferringChoreConsumer>().Endpoint(endpoint => endpoint.Name = "chores");
            else
                bus.AddConsumer<ChoreConsumer>().Endpoint(endpoint => endpoint.Name = "chores");
            bus.AddConsumer<ChoreStoredConsumer>().Endpoint(endpoint => endpoint.Name = "chores-stored");
            DeadLetterSlice.Add(bus, settings);
            more?.Invoke(bus, settings);
        }, atPoint, clock ?? TimeProvider.System);
        _nodes.Add(node);
        return node;
    }

    internal Task DieAsync(Node node) => node.DieAsync(_bed);

    public async Task RunAsync(string sql, params object[] parameters)
    {
        await using var command = Postgres.Worker.CreateCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(new NpgsqlParameter { Value = parameter });
        await command.ExecuteNonQueryAsync();
    }

    // --- letters --------------------------------------------------------------------------------------------------------

    public Task PublishAsync<T>(params T[] messages)
        where T : class => _bed.PublishAsync(messages);

    /// <summary>Publishes chores whose consumer is broken, and waits until they are dead letters.</summary>
    public async Task<Guid[]> BreakAsync(int count, string why = "it is broken", Guid? org = null)
    {
        var before = await LettersAsync();
        Faults.Of = chore => new ChoreBrokenException($"{why}: {chore.ChoreId}");
        var chores = Enumerable.Range(0, count).Select(_ => new Chore { ChoreId = Guid.CreateVersion7(), OrgId = org }).ToArray();
        await PublishAsync(chores);
        await Eventually.Until(async () => await LettersAsync() == before + count, Patience, $"{count} letters were collected");
        return [.. chores.Select(chore => chore.ChoreId)];
    }

    public void Mend() => Faults.Of = _ => null;

    public Task<long> LettersAsync(string? status = null) => status is null
        ? Postgres.AskAsync<long>("select count(*) from pulse.dead_letters")
        : Postgres.AskAsync<long>("select count(*) from pulse.dead_letters where status = $1", status);

    public Task<long> EffectsAsync() => Postgres.AskAsync<long>("select count(*) from bed.chores");

    /// <summary>Every chore had its effect, and none had it twice.</summary>
    public async Task OnceAsync(IReadOnlyCollection<Guid> chores)
    {
        Assert.Equal(chores.Count, await Postgres.AskAsync<long>("select count(*) from bed.chores where chore = any($1)", chores.ToArray()));
        Assert.Equal(chores.Count, await Postgres.AskAsync<long>("select count(distinct chore) from bed.chores where chore = any($1)", chores.ToArray()));
    }

    public Task StatusesAsync(string expected) => Eventually.Until(
        async () => await Postgres.AskAsync<string>("select coalesce(string_agg(status || ' ' || n, ', ' order by status), '') from (select status, count(*) as n from pulse.dead_letters group by status) as counts") == expected,
        Patience, $"the letters are: {expected}");

    // --- the operator ---------------------------------------------------------------------------------------------------

    OutboxPublisher Publisher => new(TimeProvider.System, new OutboxBell(Postgres.Worker, NullLogger<OutboxBell>.Instance));

    /// <summary>As ingress does it, with the rights of ingress.</summary>
    public async Task<Guid> AskAsync<T>(string kind, object request, Func<Guid, T> command)
        where T : class
    {
        var id = Guid.CreateVersion7();
        await using var batch = Postgres.Ingress.CreateBatch();
        batch.BatchCommands.Add(new NpgsqlBatchCommand("insert into pulse.operations (operation_id, kind, request, actor, requested_at) values ($1, $2, $3, 'key:test', now())")
        {
            Parameters =
            {
                new NpgsqlParameter { Value = id }, new NpgsqlParameter { Value = kind },
                new NpgsqlParameter { Value = JsonSerializer.Serialize(request), NpgsqlDbType = NpgsqlDbType.Jsonb },
            },
        });
        batch.BatchCommands.Add(Publisher.Publish(command(id)));
        await batch.ExecuteNonQueryAsync();
        return id;
    }

    public async Task<Outcome> OutcomeAsync(Guid operation)
    {
        await Eventually.Until(
            () => Postgres.AskAsync<bool>("select status <> 'pending' from pulse.operations where operation_id = $1", operation), Patience, $"operation {operation} is completed");
        await using var command = Postgres.Ingress.CreateCommand("select status, problem_code, result::text from pulse.operations where operation_id = $1");
        command.Parameters.Add(new NpgsqlParameter { Value = operation });
        await using var row = await command.ExecuteReaderAsync();
        await row.ReadAsync();
        return new Outcome(operation, row.GetString(0), row.IsDBNull(1) ? null : row.GetString(1), row.IsDBNull(2) ? null : row.GetString(2));
    }

    public async Task<Outcome> PlanAsync(PlanRequest request) =>
        await OutcomeAsync(await AskAsync(DeadLetterOperations.Plan, request, id => new PlanReplay { OperationId = id }));

    /// <summary>Of everything that can be replayed.</summary>
    public async Task<ReplayState> PlanAllAsync() => (await PlanAsync(new PlanRequest { Filter = new DeadLetterFilter { Queue = "chores" } })).As<ReplayState>();

    public async Task<Outcome> StartReplayAsync(Guid replay, StartRequest request) =>
        await OutcomeAsync(await AskAsync(DeadLetterOperations.Start, request, id => new StartReplay { OperationId = id, ReplayId = replay }));

    public async Task<Outcome> PauseAsync(Guid replay) =>
        await OutcomeAsync(await AskAsync(DeadLetterOperations.Pause, new { }, id => new PauseReplay { OperationId = id, ReplayId = replay }));

    public async Task<Outcome> ResumeAsync(Guid replay) =>
        await OutcomeAsync(await AskAsync(DeadLetterOperations.Resume, new { }, id => new ResumeReplay { OperationId = id, ReplayId = replay }));

    public async Task<Outcome> CancelAsync(Guid replay) =>
        await OutcomeAsync(await AskAsync(DeadLetterOperations.Cancel, new { }, id => new CancelReplay { OperationId = id, ReplayId = replay }));

    public async Task<Outcome> PreviewAsync(Guid replay, int sample = 50) =>
        await OutcomeAsync(await AskAsync(DeadLetterOperations.Preview, new PreviewRequest { Sample = sample }, id => new PreviewReplay { OperationId = id, ReplayId = replay }));

    public async Task<Outcome> DiscardAsync(SelectionRequest request) =>
        await OutcomeAsync(await AskAsync(DeadLetterOperations.Discard, request, id => new DiscardDeadLetters { OperationId = id }));

    public async Task<Outcome> RestoreAsync(SelectionRequest request) =>
        await OutcomeAsync(await AskAsync(DeadLetterOperations.Restore, request, id => new RestoreDeadLetters { OperationId = id }));

    public Task ReplayIsAsync(Guid replay, string status) => Eventually.Until(
        async () => await Postgres.AskAsync<string>("select status from pulse.replays where replay_id = $1", replay) == status, Patience, $"the replay is {status}");

    /// <summary>As one who looks at it sees it: <c>resolved 3, planned 7</c>.</summary>
    public Task<string> ItemsAsync(Guid replay) => Postgres.AskAsync<string>(
        "select coalesce(string_agg(state || ' ' || n, ', ' order by state), '') from (select state, count(*) as n from pulse.replay_items where replay_id = $1 group by state) as counts", replay);

    /// <summary>Actions in the audit log, in their order.</summary>
    public Task<string> AuditAsync() => Postgres.AskAsync<string>(
        "select coalesce(string_agg(action || ' by ' || actor, ', ' order by seq), '') from pulse.audit_log");
}
