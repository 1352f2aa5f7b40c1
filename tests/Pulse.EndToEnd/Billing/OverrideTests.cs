using System.Text.Json;
using MassTransit;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using NpgsqlTypes;
using Pulse.Catalog;
using Pulse.Contracts.Billing;
using Pulse.EndToEnd.Messaging;
using Pulse.Hosting;
using Pulse.Messaging.Outbox;
using Pulse.Testing;
using Pulse.Worker.Billing;

namespace Pulse.EndToEnd.Billing;

/// <summary>Operators' commands and boundaries, through the bus into the tables.</summary>
public sealed class OverrideTests : IClassFixture<Bed>, IAsyncLifetime
{
    static readonly string Plans = Path.Combine(TestServers.Root, "deploy/plans.example.json");

    readonly Bed _bed;
    readonly TestClock _clock = new();
    readonly List<Node> _nodes = [];

    public OverrideTests(Bed bed) => _bed = bed;

    public async Task InitializeAsync() => await StartAsync();

    public async Task DisposeAsync()
    {
        foreach (var node in _nodes)
            await node.DisposeAsync();
    }

    [Fact]
    public async Task A_pin_is_in_force_told_as_the_result_and_taken_back_without_a_trace_in_the_state()
    {
        var org = await OrgAsync();
        await CustomerAsync(org);
        var stripe = await StripeAsync(org);
        var before = await SeenAsync(org);

        var set = await SetAsync(org, """{"effect":"pin","state":{"subscription_state":"active","plan_version":"pro-1"},"reason":"a partner"}""");
        Assert.Equal(("succeeded", null), (set.Status, set.Code));
        var state = set.Result!.RootElement;
        Assert.Equal("active pro-1 override 2", $"{state.GetProperty("subscription_state")} {state.GetProperty("plan_version")} {state.GetProperty("source")} {state.GetProperty("version")}");
        Assert.Equal(["audit_log", "export", "projects", "sso"], state.GetProperty("capabilities").EnumerateArray().Select(one => one.GetString()));
        Assert.Equal(100, state.GetProperty("limits").GetProperty("seats").GetInt64());
        Assert.Equal("active", (await SeenAsync(org)).At(_clock.GetUtcNow()).State);
        Assert.Equal("pin by key:test: a partner", await _bed.Postgres.AskAsync<string>("select effect || ' by ' || actor || ': ' || reason from pulse.billing_overrides where org_id = $1", org));

        var revoked = await RevokeAsync(org);
        Assert.Equal(("succeeded", "trial", 3L), (revoked.Status, revoked.Result!.RootElement.GetProperty("subscription_state").GetString(), revoked.Result.RootElement.GetProperty("version").GetInt64()));
        Assert.True(before.SaysTheSameAs(await SeenAsync(org)));
        Assert.Equal(stripe, await StripeAsync(org));
        Assert.Equal(
            "billing_override_set billing_state_changed billing_override_revoked billing_state_changed",
            await _bed.Postgres.AskAsync<string>("select string_agg(action, ' ' order by seq) from pulse.audit_log where org_id = $1 and actor = 'key:test'", org));
        await Eventually.Until(async () => await ChangesAsync() >= 2, TimeSpan.FromSeconds(30), "both changes were published and consumed");
        Assert.Equal(0L, await _bed.Postgres.AskAsync<long>("select count(*) from messaging.outbox where attempts > 0"));
    }

    [Fact]
    public async Task What_is_taken_back_is_what_is_in_force_and_not_what_has_ended_by_itself()
    {
        var org = await OrgAsync();
        await SetAsync(org, $$"""{"effect":"deny","expires_at":"{{_clock.GetUtcNow().AddDays(1):O}}"}""");
        _clock.Advance(TimeSpan.FromDays(2));
        await SetAsync(org, """{"effect":"pin","state":{"subscription_state":"active"}}""");

        Assert.Equal("succeeded", (await RevokeAsync(org)).Status);

        Assert.Equal("pin", await _bed.Postgres.AskAsync<string>("select string_agg(effect, ' ') from pulse.billing_overrides where org_id = $1 and revoked_at is not null and revoked_by = 'key:test'", org));
        Assert.Equal(1L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.audit_log where org_id = $1 and action = 'billing_override_revoked'", org));
    }

    [Fact]
    public async Task A_command_that_comes_again_leaves_its_outcome_as_it_is()
    {
        var org = await OrgAsync();
        var first = await SetAsync(org, """{"effect":"deny"}""");
        var outcome = await OutcomeTextAsync(first.Id);
        var before = await ConsumedAsync();
        await PublishAsync(new SetBillingState { OperationId = first.Id, OrgId = org });
        await PublishAsync(new SetBillingState { OperationId = first.Id, OrgId = org });
        // Each of them, and not by way of the dead letters.
        await Eventually.Until(async () => await ConsumedAsync() == before + 2, TimeSpan.FromSeconds(30), "the commands were consumed");

        Assert.Equal(outcome, await OutcomeTextAsync(first.Id));
        Assert.Equal(1L, await OverridesAsync(org));
    }

    [Theory]
    [InlineData("unknown", """{"effect":"pin"}""", 404, "not_found")]
    [InlineData("default", """{"effect":"pin"}""", 400, "default_org_immutable")]
    [InlineData("", """{"effect":"pin","state":{"subscription_state":"paused"}}""", 400, "invalid_subscription_state")]
    [InlineData("", """{"effect":"ban"}""", 400, "invalid_request")]
    [InlineData("", """{"effect":"pin","state":{"limits":{"seats":-1}}}""", 400, "invalid_request")]
    [InlineData("", """{"effect":"pin","state":{"limits":{"seats":"many"}}}""", 400, "invalid_request")]
    [InlineData("", """{"effect":"pin","expires_at":"2020-01-01T00:00:00Z"}""", 400, "invalid_request")]
    [InlineData("", """{"effect":"pin","if_match":7}""", 412, "precondition_failed")]
    public async Task What_can_not_be_is_refused_and_nothing_is_written(string whose, string request, int status, string code)
    {
        var org = whose switch
        {
            "unknown" => Guid.CreateVersion7(),
            "default" => await _bed.Postgres.AskAsync<Guid>("select org_id from pulse.organizations where is_default"),
            _ => await OrgAsync(),
        };
        var refused = await SetAsync(org, request);

        Assert.Equal(("refused", status, code), (refused.Status, refused.ProblemStatus, refused.Code));
        Assert.Null(refused.Result);
        Assert.Equal(0L, await OverridesAsync(org));
        Assert.Equal(0L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.audit_log where org_id = $1", org));
        Assert.Equal(0L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.billing_states where org_id = $1 and version > 1", org));
    }

    [Fact]
    public async Task Of_two_that_saw_the_same_version_one_is_too_late()
    {
        await StartAsync();
        var org = await OrgAsync();
        var outcomes = await Task.WhenAll(Enumerable.Range(0, 6).Select(number =>
            SetAsync(org, $$$"""{"effect":"pin","state":{"limits":{"seats":{{{number}}}}},"if_match":1}""")));

        Assert.Equal(1, outcomes.Count(one => one.Status == "succeeded"));
        Assert.Equal(5, outcomes.Count(one => one.Code == "precondition_failed"));
        Assert.Equal(1L, await OverridesAsync(org));
    }

    [Fact]
    public async Task A_worker_that_dies_before_its_commit_leaves_the_command_to_another()
    {
        foreach (var node in _nodes)
            await node.DisposeAsync();
        _nodes.Clear();
        var stop = new StopAt("billing-commands: before commit");
        var dying = await StartAsync(stop.PassAsync);
        var org = await OrgAsync();
        var operation = await AskAsync("billing.set", org, """{"effect":"deny"}""", id => new SetBillingState { OperationId = id, OrgId = org });
        await stop.ReachedAsync();
        await dying.DieAsync(_bed);
        Assert.Equal(0L, await OverridesAsync(org));

        await StartAsync();
        Assert.Equal("succeeded", (await OutcomeAsync(operation)).Status);
        Assert.Equal(1L, await OverridesAsync(org));
    }

    [Fact]
    public async Task Who_waits_for_an_operation_is_told()
    {
        await using var ears = await _bed.Postgres.Ingress.OpenConnectionAsync();
        var heard = new List<string>();
        ears.Notification += (_, said) => heard.Add(said.Payload);
        await using (var listen = new NpgsqlCommand("listen pulse_operations", ears))
            await listen.ExecuteNonQueryAsync();

        var done = await SetAsync(await OrgAsync(), """{"effect":"deny"}""");
        var refused = await SetAsync(Guid.CreateVersion7(), """{"effect":"deny"}""");
        await Eventually.Until(async () =>
        {
            await using var round = new NpgsqlCommand("select 1", ears);
            await round.ExecuteNonQueryAsync();
            return heard.Contains(done.Id.ToString()) && heard.Contains(refused.Id.ToString());
        }, TimeSpan.FromSeconds(10), "both ends were heard");
    }

    [Fact]
    public async Task What_comes_by_itself_is_announced_by_one_of_two_workers()
    {
        await StartAsync();
        var orgs = await Task.WhenAll(Enumerable.Range(0, 30).Select(_ => OrgAsync()));
        Assert.Equal("succeeded", (await SetAsync(orgs[0], $$"""{"effect":"deny","expires_at":"{{_clock.GetUtcNow().AddDays(1):O}}"}""")).Status);
        var before = await ChangesAsync();

        _clock.Advance(TimeSpan.FromDays(1));
        await Eventually.Until(async () => (await StateAsync(orgs[0])) == "trial 3", TimeSpan.FromSeconds(30), "the denial is over");
        _clock.Advance(TimeSpan.FromDays(13));
        await Eventually.Until(
            async () => await _bed.Postgres.AskAsync<long>("select count(*) from pulse.billing_states where org_id = any($1) and subscription_state = 'expired'", orgs) == 30,
            TimeSpan.FromSeconds(30), "every trial is over");
        Assert.Equal(31L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.audit_log where org_id = any($1) and actor = 'clock'", orgs));
        // Organizations of other tests come to the end of their trials as well.
        await Eventually.Until(async () => await ChangesAsync() - before >= 31, TimeSpan.FromSeconds(30), "the changes were published");
        Assert.Equal(29L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.billing_states where org_id = any($1) and version = 2", orgs));
    }

    // --- the operator -------------------------------------------------------------------------------------------------------

    sealed record Outcome(Guid Id, string Status, int? ProblemStatus, string? Code, JsonDocument? Result);

    async Task<Outcome> SetAsync(Guid org, string request) =>
        await OutcomeAsync(await AskAsync("billing.set", org, request, id => new SetBillingState { OperationId = id, OrgId = org }));

    async Task<Outcome> RevokeAsync(Guid org) =>
        await OutcomeAsync(await AskAsync("billing.revoke", org, "{}", id => new RevokeBillingOverride { OperationId = id, OrgId = org }));

    // As ingress does it, with the rights of ingress.
    async Task<Guid> AskAsync<T>(string kind, Guid org, string request, Func<Guid, T> command)
        where T : class
    {
        var id = Guid.CreateVersion7();
        await using var batch = _bed.Postgres.Ingress.CreateBatch();
        batch.BatchCommands.Add(new NpgsqlBatchCommand("insert into pulse.operations (operation_id, kind, org_id, request, actor, requested_at) values ($1, $2, $3, $4, 'key:test', $5)")
        {
            Parameters =
            {
                new NpgsqlParameter { Value = id }, new NpgsqlParameter { Value = kind }, new NpgsqlParameter { Value = org },
                new NpgsqlParameter { Value = request, NpgsqlDbType = NpgsqlDbType.Jsonb }, new NpgsqlParameter { Value = _clock.GetUtcNow().UtcDateTime },
            },
        });
        batch.BatchCommands.Add(Publisher.Publish(command(id)));
        await batch.ExecuteNonQueryAsync();
        return id;
    }

    async Task<Outcome> OutcomeAsync(Guid operation)
    {
        await Eventually.Until(
            () => _bed.Postgres.AskAsync<bool>("select status <> 'pending' from pulse.operations where operation_id = $1", operation),
            TimeSpan.FromSeconds(30), $"operation {operation} is completed");
        await using var command = _bed.Postgres.Ingress.CreateCommand("select status, problem_status, problem_code, result::text from pulse.operations where operation_id = $1");
        command.Parameters.Add(new NpgsqlParameter { Value = operation });
        await using var row = await command.ExecuteReaderAsync();
        await row.ReadAsync();
        return new Outcome(
            operation, row.GetString(0), row.IsDBNull(1) ? null : row.GetInt32(1), row.IsDBNull(2) ? null : row.GetString(2),
            row.IsDBNull(3) ? null : JsonDocument.Parse(row.GetString(3)));
    }

    // --- the bed --------------------------------------------------------------------------------------------------------------

    OutboxPublisher Publisher => new(_clock, new OutboxBell(_bed.Postgres.Worker, NullLogger<OutboxBell>.Instance));

    async Task<Node> StartAsync(Func<string, Task>? atPoint = null)
    {
        var settings = new Settings(new ConfigurationBuilder().AddInMemoryCollection([new("PULSE_PLANS_FILE", Plans)]).Build());
        var node = await _bed.StartAsync(bus => BillingSlice.Add(bus, settings), atPoint, clock: _clock);
        settings.ThrowIfInvalid();
        _nodes.Add(node);
        return node;
    }

    async Task PublishAsync<T>(T message)
        where T : class
    {
        await using var batch = _bed.Postgres.Worker.CreateBatch();
        batch.BatchCommands.Add(Publisher.Publish(message));
        await batch.ExecuteNonQueryAsync();
    }

    Task<long> ConsumedAsync() => _bed.Postgres.AskAsync<long>("select count(*) from messaging.inbox where consumer_id = 'billing-commands'");

    async Task<Guid> OrgAsync()
    {
        var org = Guid.CreateVersion7();
        await RunAsync("""
            with org as (insert into pulse.organizations (org_id, name, status, created_at) values ($1, 'A', 'active', $2))
            insert into pulse.billing_states (org_id, subscription_state, plan_version, trial_ends_at, next_boundary_at, updated_at)
            values ($1, 'trial', 'trial', $2::timestamptz + interval '14 days', $2::timestamptz + interval '14 days', $2)
            """, org, _clock.GetUtcNow().UtcDateTime);
        return org;
    }

    // One that never paid.
    Task CustomerAsync(Guid org) => RunAsync("""
        insert into pulse.stripe_customers (customer_id, org_id, linked_by, linked_at, canonical, created_at)
        values ('cus_' || $1::text, $1, 'metadata', $2, '{"subscriptions":[{"id":"sub_1","status":"incomplete","prices":[]}],"open_invoices":[],"active_entitlements":[]}', $2)
        """, org, _clock.GetUtcNow().UtcDateTime);

    // xmin is the transaction that wrote the row last.
    Task<string> StripeAsync(Guid org) => _bed.Postgres.AskAsync<string>("select xmin || c::text from pulse.stripe_customers c where org_id = $1", org);

    async Task<IReadOnlyList<Segment>> SeenAsync(Guid org) => JsonSerializer.Deserialize<IReadOnlyList<Segment>>(
        await _bed.Postgres.AskAsync<string>("select timeline::text from pulse.entitlements_v1 where org_id = $1", org), Canonical.Json)!;

    Task<string> StateAsync(Guid org) =>
        _bed.Postgres.AskAsync<string>("select subscription_state || ' ' || version from pulse.billing_states where org_id = $1", org);

    Task<string> OutcomeTextAsync(Guid operation) =>
        _bed.Postgres.AskAsync<string>("select xmin || o::text from pulse.operations o where operation_id = $1", operation);

    Task<long> OverridesAsync(Guid org) => _bed.Postgres.AskAsync<long>("select count(*) from pulse.billing_overrides where org_id = $1", org);

    Task<long> ChangesAsync() => _bed.Postgres.AskAsync<long>("select count(*) from messaging.inbox where consumer_id = 'entitlements-changed'");

    async Task RunAsync(string sql, params object[] parameters)
    {
        await using var command = _bed.Postgres.Worker.CreateCommand(sql);
        foreach (var parameter in parameters)
            command.Parameters.Add(new NpgsqlParameter { Value = parameter });
        await command.ExecuteNonQueryAsync();
    }
}
