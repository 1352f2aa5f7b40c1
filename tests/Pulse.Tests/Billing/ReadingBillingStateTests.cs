using System.Text.Json;
using Pulse.Contracts.Keys;
using Pulse.Tests.Admin;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Billing;

public sealed class ReadingBillingStateTests(TestPostgres postgres) : AdminTests(postgres)
{
    string _key = "";

    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        _key = await Postgres.KeyAsync(Scopes.BillingRead, Scopes.EntitlementsRead);
    }

    [Fact]
    public async Task A_new_tenant_is_on_trial_until_its_end_and_expired_from_then_on_without_anything_being_written()
    {
        var org = await TenantAsync();

        var trial = await SendAsync("GET", Path(org), _key);
        var state = await trial.Json();
        Assert.Equal("\"1\"", trial.Header("ETag"));
        Assert.Equal(["capabilities", "limits", "meters_enabled", "plan_version", "subscription_state", "trial_ends_at", "source", "version"], state.EnumerateObject().Select(field => field.Name));
        Assert.Equal(("trial", "local_trial", 1), (Text(state, "subscription_state"), Text(state, "source"), state.GetProperty("version").GetInt32()));
        Assert.Equal(Clock.GetUtcNow().AddDays(14), state.GetProperty("trial_ends_at").GetDateTimeOffset());

        Clock.Advance(TimeSpan.FromDays(14) - TimeSpan.FromSeconds(1));
        Assert.Equal("trial", Text(await (await SendAsync("GET", Path(org), _key)).Json(), "subscription_state"));
        Clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("expired", Text(await (await SendAsync("GET", Path(org), _key)).Json(), "subscription_state"));
    }

    [Fact]
    public async Task An_organization_without_a_row_of_its_own_is_on_trial()
    {
        var org = await TenantAsync();
        await Postgres.RunAsync("delete from pulse.billing_states where org_id = $1", org);

        var answer = await SendAsync("GET", Path(org), _key);

        Assert.Equal((200, "\"1\"", "trial"), ((int)answer.StatusCode, answer.Header("ETag"), Text(await answer.Json(), "subscription_state")));
        Assert.Equal(200, (int)(await SendAsync("GET", Path(org) + "/explain", _key)).StatusCode);
    }

    [Fact]
    public async Task The_segment_in_force_by_the_clock_is_what_is_told_and_one_without_access_has_no_capabilities()
    {
        var (org, now) = (await TenantAsync(), Clock.GetUtcNow());
        await TimelineAsync(org,
        [
            Segment(now.AddDays(-1), "active"),
            Segment(now.AddHours(1), "grace"),
            // Whoever wrote it: nobody gets anything out of it.
            Segment(now.AddHours(2), "suspended"),
        ]);

        foreach (var (state, capabilities) in ((string, int)[])[("active", 1), ("grace", 1), ("suspended", 0)])
        {
            var answer = await (await SendAsync("GET", Path(org), _key)).Json();
            Assert.Equal((state, capabilities, 5), (Text(answer, "subscription_state"), answer.GetProperty("capabilities").GetArrayLength(), answer.GetProperty("limits").GetProperty("seats").GetInt32()));
            Clock.Advance(TimeSpan.FromHours(1));
        }
    }

    [Theory]
    [InlineData("suspended")]
    [InlineData("pending_deletion")]
    public async Task An_organization_that_is_not_active_may_do_nothing_whatever_was_paid(string lifecycle)
    {
        var org = await TenantAsync();
        await TimelineAsync(org, [Segment(Clock.GetUtcNow(), "active")]);
        var before = (await SendAsync("GET", Path(org), _key)).Header("ETag");
        await Postgres.RunAsync("update pulse.organizations set status = $2 where org_id = $1", org, lifecycle);

        var answer = await SendAsync("GET", Path(org), _key);
        var state = await answer.Json();
        Assert.Equal(("suspended", "lifecycle", 0), (Text(state, "subscription_state"), Text(state, "source"), state.GetProperty("capabilities").GetArrayLength()));
        Assert.NotEqual(before, answer.Header("ETag"));
        Assert.Equal(lifecycle, Text((await (await SendAsync("GET", Path(org) + "/explain", _key)).Json()).GetProperty("decided_by"), "lifecycle"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("/explain")]
    public async Task An_unknown_organization_is_404_and_the_platform_s_own_has_no_billing(string part)
    {
        foreach (var id in (string[])[Unknown, "00000000-0000-4000-8000-000000000000", "nonsense"])
            await (await SendAsync("GET", $"/api/admin/orgs/{id}/billing-state{part}", _key)).IsProblem(404, "not_found");
        await (await SendAsync("GET", $"/api/admin/orgs/default/billing-state{part}", _key)).IsProblem(404, "no_billing");
    }

    [Fact]
    public async Task Explain_tells_the_subscription_the_invoice_the_events_the_overrides_and_what_comes_next()
    {
        var (org, now) = (await TenantAsync(), Clock.GetUtcNow());
        var (won, over, revoked) = (Guid.CreateVersion7(), Guid.CreateVersion7(), Guid.CreateVersion7());
        await Postgres.RunAsync("""
            insert into pulse.stripe_customers (customer_id, org_id, linked_at, linked_by, dirty, synced, canonical, fetched_at, created_at) values
            ('cus_1', $1, $2, 'metadata', 3, 3, '{"subscriptions":[{"id":"sub_1","status":"past_due"}],"open_invoices":[{"id":"in_1"}]}', $2, $2),
            ('cus_2', $1, $2, 'client_reference_id', 2, 1, null, null, $2)
            """, org, now.UtcDateTime);
        await Postgres.RunAsync("""
            insert into pulse.stripe_events (event_id, effect_id, type, body, status, customer_id, received_at)
            select 'evt_' || i, 'evt_' || i, 'invoice.payment_failed', '', 'applied', case when i < 30 then 'cus_1' else 'cus_2' end, $1 + i * interval '1 second' from generate_series(1, 31) i
            """, now.UtcDateTime);
        await Postgres.RunAsync("""
            insert into pulse.billing_overrides (override_id, org_id, effect, state, reason, actor, created_at, expires_at, revoked_at, revoked_by) values
            ($2, $1, 'grant', '{"capabilities":["api"]}', 'promised', 'key:a', $5, $6, null, null),
            ($3, $1, 'deny', '{}', null, 'key:a', $5 - interval '2 days', $5 - interval '1 day', null, null),
            ($4, $1, 'pin', '{}', null, 'key:a', $5 - interval '3 days', null, $5, 'key:b')
            """, org, won, over, revoked, now.UtcDateTime, now.UtcDateTime.AddDays(1));
        await TimelineAsync(org,
        [
            new
            {
                from = now,
                state = "grace",
                plan_version = "pro",
                capabilities = (string[])["api"],
                limits = new { },
                meters_enabled = Array.Empty<string>(),
                source = "override",
                subscription_id = "sub_1",
                invoice_id = "in_1",
                override_id = won,
                conflict = true,
            },
            Segment(now.AddDays(1), "suspended"),
        ]);

        var told = await (await SendAsync("GET", Path(org) + "/explain", _key)).Json();

        var decision = told.GetProperty("decided_by");
        Assert.Equal(("override", "cus_1", "sub_1", "past_due", "in_1", won.ToString(), true),
            (Text(decision, "source"), Text(decision, "customer_id"), Text(decision, "subscription_id"), Text(decision, "subscription_status"), Text(decision, "invoice_id"),
                Text(decision, "override_id"), decision.GetProperty("conflict").GetBoolean()));
        Assert.Equal([(won.ToString(), true, true), (over.ToString(), false, false), (revoked.ToString(), false, false)],
            told.GetProperty("overrides").EnumerateArray().Select(one => (Text(one, "override_id")!, one.GetProperty("in_force").GetBoolean(), one.GetProperty("won").GetBoolean())));
        Assert.Equal(["cus_1", "cus_2"], told.GetProperty("customers").EnumerateArray().Select(one => Text(one, "customer_id")));
        Assert.Equal("in_1", Text(told.GetProperty("customers")[0].GetProperty("open_invoices")[0], "id"));
        var events = told.GetProperty("events").EnumerateArray().ToList();
        Assert.Equal((20, "evt_31", "cus_2", "evt_12"), (events.Count, Text(events[0], "event_id"), Text(events[0], "customer_id"), Text(events[^1], "event_id")));
        Assert.False(told.GetProperty("freshness").GetProperty("in_step").GetBoolean());
        Assert.Equal((now.AddDays(1), "suspended"), (told.GetProperty("next_boundary").GetProperty("at").GetDateTimeOffset(), Text(told.GetProperty("next_boundary"), "subscription_state")));
        Assert.Equal("grace", Text(told.GetProperty("state"), "subscription_state"));
    }

    [Fact]
    public async Task Explaining_a_trial_tells_its_end_as_the_next_boundary()
    {
        var org = await TenantAsync();

        var told = await (await SendAsync("GET", Path(org) + "/explain", _key)).Json();

        Assert.Equal("local_trial", Text(told.GetProperty("decided_by"), "source"));
        Assert.Equal((Clock.GetUtcNow().AddDays(14), "expired"), (told.GetProperty("next_boundary").GetProperty("at").GetDateTimeOffset(), Text(told.GetProperty("next_boundary"), "subscription_state")));
        Assert.True(told.GetProperty("freshness").GetProperty("in_step").GetBoolean());
    }

    static object Segment(DateTimeOffset from, string state) => new
    {
        from,
        state,
        plan_version = "pro",
        capabilities = (string[])["api"],
        limits = new { seats = 5 },
        meters_enabled = (string[])["calls"],
        source = "stripe",
    };

    static string Path(Guid org) => $"/api/admin/orgs/{org}/billing-state";

    static string? Text(JsonElement element, string name) => element.GetProperty(name).GetString();
}
