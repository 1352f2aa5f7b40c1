using System.Text.RegularExpressions;
using Pulse.Tests.House;
using Pulse.Worker.Invariants;

namespace Pulse.Tests.Invariants;

/// <summary>Each invariant holds on a database as Pulse leaves it, and finds what breaks it.</summary>
/// <remarks>Rows by hand: what is looked for is what Pulse never writes.</remarks>
public sealed partial class InvariantTests : IAsyncLifetime
{
    static readonly DateTimeOffset Now = DateTimeOffset.UtcNow;

    // Ids of version 7 with a time of some minutes ago, so that they are in every scope.
    static readonly Guid Provisioned = Guid.CreateVersion7(Now.AddMinutes(-3));
    static readonly Guid Org = Guid.CreateVersion7(Now.AddMinutes(-3));
    static readonly Guid Owner = Guid.CreateVersion7(Now.AddMinutes(-3));
    static readonly Guid Existing = Guid.CreateVersion7(Now.AddMinutes(-3));
    static readonly Guid Failed = Guid.CreateVersion7(Now.AddMinutes(-3));
    static readonly Guid Underway = Guid.CreateVersion7(Now.AddMinutes(-3));
    static readonly Guid Other = Guid.CreateVersion7(Now.AddMinutes(-3));

    readonly TestPostgres _postgres = new();

    public async Task InitializeAsync()
    {
        await _postgres.InitializeAsync();
        await RunAsync($"""
            insert into pulse.users values ('{Owner}', 'a@example.org', 'a@example.org', null, now());
            insert into pulse.organizations values ('{Org}', 'A', 'active', false, now());
            insert into pulse.memberships values ('{Org}', '{Owner}', 'owner', now());
            insert into pulse.billing_states (org_id, subscription_state, plan_version, trial_ends_at, next_boundary_at, updated_at)
            values ('{Org}', 'trial', 'trial', '2126-01-01', '2126-01-01', now());
            insert into pulse.signups (signup_id, status, org_id, accepted_at, updated_at) values
                ('{Provisioned}', 'provisioned', '{Org}', now() - interval '3 minutes', now()),
                ('{Existing}', 'existing', null, now() - interval '3 minutes', now());
            insert into pulse.signups (signup_id, email, status, accepted_at, updated_at) values
                ('{Failed}', 'b@example.org', 'failed', now() - interval '3 minutes', now()),
                ('{Underway}', 'c@example.org', 'provisioning', now() - interval '3 minutes', now());
            insert into messaging.sagas values
                ('provisioning', '{Provisioned}', 'Provisioned', 1, '{"{"}"orgId": "{Org}"{"}"}', now(), now()),
                ('provisioning', '{Existing}', 'Existing', 1, '{"{}"}', now(), now()),
                ('provisioning', '{Failed}', 'Failed', 1, '{"{}"}', now(), now()),
                ('provisioning', '{Underway}', 'Provisioning', 1, '{"{}"}', now(), now());
            insert into pulse.stripe_customers (customer_id, dirty, synced, dirty_at, created_at) values ('cus_seen', 2, 2, now(), now());
            insert into pulse.stripe_events (event_id, effect_id, type, body, status, customer_id, mark, received_at)
            values ('evt_1', 'evt_1', 'customer.updated', '', 'applied', 'cus_seen', 2, now());
            insert into messaging.inbox select gen_random_uuid(), 'provisioning', now() from generate_series(1, 4);
            insert into messaging.outbox (id, message_id, exchange, routing_key, content_type, body, due_at, relay_at)
            values ('{Other}', '{Other}', 'x', '', 'x', '', now() - interval '10 seconds', now())
            """);
    }

    public Task DisposeAsync() => _postgres.DisposeAsync();

    /// <summary>Name of the invariant, what breaks it, and the id that it must show.</summary>
    static readonly Dictionary<string, (string Sql, Guid Sample)[]> Breaks = new()
    {
        ["unfinished_signups"] = [($"update pulse.signups set accepted_at = now() - interval '20 minutes' where signup_id = '{Underway}'", Underway)],
        ["duplicate_tenants"] =
        [
            ($"alter table pulse.users drop constraint users_email_normalized_key; insert into pulse.users select '{Other}', email, email_normalized, null, now() from pulse.users", Owner),
            ($"insert into pulse.organizations values ('{Other}', 'B', 'active', false, now()); insert into pulse.memberships values ('{Other}', '{Owner}', 'owner', now())", Owner),
            ($"alter table pulse.billing_states drop constraint billing_states_pkey; insert into pulse.billing_states select * from pulse.billing_states", Owner),
        ],
        ["orphan_organizations"] =
        [
            ($"delete from pulse.memberships", Org),
            ($"update pulse.memberships set role = 'admin'", Org),
            ($"delete from pulse.billing_states", Org),
        ],
        ["orphan_parts"] =
        [
            ("alter table pulse.organizations disable trigger organizations_deletion; alter table pulse.memberships drop constraint memberships_org_id_fkey; alter table pulse.billing_states drop constraint billing_states_org_id_fkey; delete from pulse.organizations where not is_default", Org),
            ("alter table pulse.memberships drop constraint memberships_user_id_fkey; delete from pulse.users", Org),
        ],
        ["orphan_users"] = [($"insert into pulse.users values ('{Other}', 'z@example.org', 'z@example.org', null, now())", Other)],
        ["signups_and_organizations"] =
        [
            ($"update pulse.signups set org_id = '{Other}' where signup_id = '{Provisioned}'", Provisioned),
            ($"update pulse.signups set org_id = '{Org}' where signup_id = '{Existing}'", Existing),
            ($"update pulse.signups set status = 'existing', org_id = null where signup_id = '{Provisioned}'", Org),
        ],
        ["personal_data_kept"] =
        [
            ($"update pulse.signups set email = 'a@example.org' where signup_id = '{Provisioned}'", Provisioned),
            ($"update pulse.signups set password_hash = 'x' where signup_id = '{Existing}'", Existing),
        ],
        ["sagas_and_signups"] =
        [
            ($"update messaging.sagas set current_state = 'Existing' where correlation_id = '{Provisioned}'", Provisioned),
            ($"update pulse.signups set status = 'failed' where signup_id = '{Underway}'", Underway),
            ($"delete from messaging.sagas where correlation_id = '{Provisioned}'", Provisioned),
            ($"delete from pulse.signups where signup_id = '{Existing}'", Existing),
        ],
        ["stuck_sagas"] = [($"update pulse.signups set status = 'failed' where signup_id = '{Underway}'", Underway)],
        ["outbox_overdue"] = [("update messaging.outbox set due_at = now() - interval '61 seconds'", Other)],
        ["inbox_missing"] = [("delete from messaging.inbox", Guid.Empty)],
        ["billing_behind"] = [("update pulse.stripe_customers set dirty = 3, dirty_at = now() - interval '2 hours'", Guid.Empty)],
        ["billing_counts"] = [("update pulse.stripe_customers set synced = 3", Guid.Empty)],
        ["billing_events_settled"] =
        [
            ("update pulse.stripe_events set mark = 3 where status = 'applied'", Guid.Empty),
            ("update pulse.stripe_events set status = 'pending'", Guid.Empty),
        ],
        ["billing_parked"] = [($"update pulse.stripe_customers set org_id = '{Org}'; update pulse.stripe_events set status = 'parked'", Guid.Empty)],
        ["billing_unhandled"] = [("update pulse.stripe_events set status = 'received', received_at = now() - interval '2 hours'", Guid.Empty)],
        ["inbox_future"] =
        [
            ($"insert into messaging.inbox values ('{Other}', 'metrics', now() + interval '2 minutes')", Other),
        ],
        ["timelines"] =
        [
            ("update pulse.billing_states set timeline = '[]'", Org),
            ("update pulse.billing_states set timeline = '{}'", Org),
            (Timeline(Segment("active", "2026-01-02"), Segment("expired", "2026-01-02")), Org),
            (Timeline(Segment("active", "2026-01-02"), Segment("expired", "2026-01-01")), Org),
            ("update pulse.billing_states set timeline = '[{}]'", Org),
        ],
        ["current_billing_states"] =
        [
            ("update pulse.billing_states set subscription_state = 'active'", Org),
            ("update pulse.billing_states set next_boundary_at = null", Org),
            (Timeline(Segment("active", "2026-01-02")) + ", next_boundary_at = null", Org),
            (Timeline(Segment("trial", "2026-01-02", plan: "pro")) + ", next_boundary_at = null", Org),
            (Timeline(Segment("trial", "2026-01-02")), Org),
            (Timeline(Segment("trial", "2026-01-02"), Segment("expired", "2125-01-01")), Org),
        ],
        ["boundaries_overdue"] = [("update pulse.billing_states set trial_ends_at = now() - interval '61 seconds', next_boundary_at = now() - interval '61 seconds'", Org)],
        ["access_without_right"] =
        [
            (Timeline(Segment("expired", "2026-01-02", capabilities: "\"x\"")), Org),
            (Timeline(Segment("active", "2026-01-02"), Segment("suspended", "2126-01-01", capabilities: "\"x\"")), Org),
        ],
        ["dead_letters_queued"] = [(Letter("queued", 0), Other)],
        ["dead_letters_under_way"] =
        [
            (Letter("replayed", 0), Other),
            ($"""
                {Letter("parked", 0)};
                insert into pulse.replays (replay_id, status, request, plan, letters, planned_by, planned_at, expires_at, changed_at)
                values ('{Other}', 'cancelled', '{"{}"}', '{"{}"}', 1, 'x', now(), now(), now());
                insert into pulse.replay_items (replay_id, position, dead_letter_id, active) values ('{Other}', 1, '{Other}', true)
                """, Other),
        ],
        ["dead_letters_counted"] = [(Letter("parked", 1), Other)],
        ["billing_of_nobody"] =
        [
            ($"alter table pulse.stripe_customers drop constraint stripe_customers_org_id_fkey; insert into pulse.stripe_customers (customer_id, org_id, created_at) values ('cus_1', '{Other}', now())", Other),
            ($"alter table pulse.billing_overrides drop constraint billing_overrides_org_id_fkey; insert into pulse.billing_overrides (override_id, org_id, effect, actor, created_at) values ('{Other}', '{Other}', 'deny', 'key:a', now())", Other),
        ],
    };

    static string Timeline(params string[] segments) => $"update pulse.billing_states set timeline = '[{string.Join(',', segments)}]'";

    static string Segment(string state, string from, string plan = "trial", string capabilities = "") =>
        $$"""{"from":"{{from}}","state":"{{state}}","plan_version":"{{plan}}","capabilities":[{{capabilities}}],"limits":{},"meters_enabled":[],"source":"stripe"}""";

    public static TheoryData<string, int> Cases()
    {
        var cases = new TheoryData<string, int>();
        foreach (var (name, breaks) in Breaks)
        {
            for (var i = 0; i < breaks.Length; i++)
                cases.Add(name, i);
        }

        return cases;
    }

    static string Letter(string status, int occurrences) => $"""
        insert into pulse.dead_letters (dead_letter_id, queue, message_id, reason, is_envelope, fingerprint, content_type, headers, body, body_bytes,
            status, first_failed_at, last_failed_at, occurrences, changed_at, collected_at)
        values ('{Other}', 'q', '{Other}', 'fault', true, 'f', 'x', '{"{}"}', '', 0, '{status}', now(), now(), {occurrences}, now() - interval '5 minutes', now())
        """;

    [Fact]
    public async Task Counts_that_are_not_those_of_the_letters_are_found()
    {
        await RunAsync(Letter("parked", 0));
        Assert.True((await CheckAsync(null)).Single(finding => finding.Invariant.Name == "dead_letters_counted").Holds);
        await RunAsync("insert into pulse.dead_letter_differences values ('f', 'q', 'parked', 1), ('g', 'q', 'parked', 1)");
        Assert.Equal(2, (await CheckAsync(null)).Single(finding => finding.Invariant.Name == "dead_letters_counted").Count);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task A_broken_invariant_is_found(string name, int number)
    {
        var (sql, sample) = Breaks[name][number];
        await RunAsync(sql);

        foreach (var since in new[] { Now.AddDays(-1), (DateTimeOffset?)null })
        {
            var finding = (await CheckAsync(since)).Single(finding => finding.Invariant.Name == name);
            Assert.False(finding.Holds);
            Assert.InRange(finding.Samples.Count, 1, 10);
            if (sample != Guid.Empty)
                Assert.Contains(sample.ToString(), finding.Samples);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Every_invariant_holds_on_what_Pulse_writes(bool everything)
    {
        var findings = await CheckAsync(everything ? null : Now.AddDays(-1));
        Assert.DoesNotContain(findings, finding => !finding.Holds);
    }

    [Fact]
    public void Every_invariant_is_broken_here_once_at_least() =>
        Assert.Equal(InvariantTable.All.Select(invariant => invariant.Name).Order(), Breaks.Keys.Order());

    [Fact]
    public async Task A_timeline_of_the_rules_breaks_nothing()
    {
        await RunAsync($"{Timeline(Segment("trial", "2026-01-02", capabilities: "\"x\""), Segment("expired", "2126-01-01"))}");
        Assert.DoesNotContain(await CheckAsync(null), finding => !finding.Holds);
    }

    [Fact]
    public async Task At_rest_whatever_is_under_way_is_a_violation()
    {
        var findings = await CheckAsync(since: null, late: TimeSpan.Zero);
        Assert.Equal(["unfinished_signups", "outbox_overdue"], findings.Where(finding => !finding.Holds).Select(finding => finding.Invariant.Name));
    }

    [Fact]
    public async Task One_consumed_message_too_few_is_one_violation_however_many_sagas_follow()
    {
        await RunAsync("delete from messaging.inbox where message_id = (select min(message_id::text)::uuid from messaging.inbox)");
        await RunAsync("update messaging.sagas set created_at = created_at + interval '1 second' where current_state <> 'Provisioned'");
        await RunAsync("insert into messaging.inbox select gen_random_uuid(), 'provisioning', now() + interval '2 seconds' from generate_series(1, 5)");
        // Two of the four sagas are of the kinds that were consumed for certain, so three rows are one more than enough.
        Assert.True((await CheckAsync(null)).Single(finding => finding.Invariant.Name == "inbox_missing").Holds);

        await RunAsync("delete from messaging.inbox");
        await RunAsync("insert into messaging.inbox select gen_random_uuid(), 'provisioning', now() - interval '1 second'");
        await RunAsync("insert into messaging.inbox select gen_random_uuid(), 'provisioning', now() + interval '30 seconds' from generate_series(1, 5)");
        Assert.Equal(1, (await CheckAsync(null)).Single(finding => finding.Invariant.Name == "inbox_missing").Count);
    }

    [Fact]
    public async Task No_more_than_ten_ids_are_shown_and_all_are_counted()
    {
        await RunAsync("insert into pulse.users select gen_random_uuid(), i::text, i::text, null, now() from generate_series(1, 25) i");
        var finding = (await CheckAsync(null)).Single(finding => finding.Invariant.Name == "orphan_users");
        Assert.Equal(25, finding.Count);
        Assert.Equal(10, finding.Samples.Count);
    }

    [Fact]
    public async Task The_doctor_tells_in_a_table_what_is_broken_and_what_to_do_and_shows_no_personal_data()
    {
        await RunAsync($"update pulse.signups set email = 'someone@example.org' where signup_id = '{Provisioned}'");
        var report = await Doctor.ExamineAsync(_postgres.Worker, [new Uri("amqp://127.0.0.1:1")], Scope(null, TimeSpan.FromMinutes(15)));

        Assert.False(report.Healthy);
        var table = report.ToTable();
        Assert.Contains("✗ personal_data_kept", table, StringComparison.Ordinal);
        Assert.Contains(Provisioned.ToString(), table, StringComparison.Ordinal);
        Assert.Contains("→ Clear email", table, StringComparison.Ordinal);
        Assert.Contains("✓ orphan_users", table, StringComparison.Ordinal);
        Assert.Contains("✗ RabbitMQ does not answer", table, StringComparison.Ordinal);
        Assert.DoesNotContain("someone@", table, StringComparison.Ordinal);
    }

    [Fact]
    public void The_doctor_looks_into_the_queues_of_every_endpoint()
    {
        var named = Sources.CSharpOf("src/Pulse.Worker")
            .SelectMany(file => EndpointName().Matches(Sources.Read(file.Path)))
            .Select(match => match.Groups[1].Value);
        Assert.Equal(named.Distinct().Order(), Doctor.Endpoints.Order());
    }

    Task<IReadOnlyList<Finding>> CheckAsync(DateTimeOffset? since, TimeSpan? late = null) =>
        InvariantTable.CheckAsync(_postgres.Worker, Scope(since, late), CancellationToken.None);

    static InvariantScope Scope(DateTimeOffset? since, TimeSpan? late) => new()
    {
        Now = DateTimeOffset.UtcNow,
        Since = since,
        UnfinishedAfter = late ?? TimeSpan.FromMinutes(15),
        OutboxAfter = late ?? TimeSpan.FromSeconds(60),
        InboxKept = TimeSpan.FromDays(44),
    };

    async Task RunAsync(string sql)
    {
        await using var command = _postgres.Worker.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }

    [GeneratedRegex("""(?:EndpointName|endpoint\.Name) = "([^"]+)";?""")]
    private static partial Regex EndpointName();
}
