using System.Text.Json;
using Pulse.Contracts.Keys;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Admin;

public sealed class OrganizationTests(TestPostgres postgres) : AdminTests(postgres)
{
    const string Path = "/api/admin/orgs";

    string _key = "";

    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        _key = await Postgres.KeyAsync(Scopes.OrgsRead, Scopes.AuditRead);
    }

    [Fact]
    public async Task An_organization_is_told_as_the_contract_has_it()
    {
        var signup = Some.Signup;
        var org = await TenantAsync(signup);

        var answer = await (await SendAsync("GET", $"{Path}/{org}", _key)).Json();

        Assert.Equal(["org_id", "name", "status", "owner_email", "created_at"], answer.EnumerateObject().Select(field => field.Name));
        Assert.Equal((org.ToString(), signup.OrgName, "active", signup.Email, Clock.GetUtcNow()),
            (Text(answer, "org_id"), Text(answer, "name"), Text(answer, "status"), Text(answer, "owner_email"), answer.GetProperty("created_at").GetDateTimeOffset()));
    }

    [Fact]
    public async Task The_platform_s_own_is_addressed_as_default()
    {
        foreach (var address in (string[])["default", "00000000-0000-7000-8000-000000000000"])
        {
            var answer = await (await SendAsync("GET", $"{Path}/{address}", _key)).Json();
            Assert.Equal(("default", "active", JsonValueKind.Null), (Text(answer, "org_id"), Text(answer, "status"), answer.GetProperty("owner_email").ValueKind));
        }
    }

    [Theory]
    [InlineData(Unknown)]
    [InlineData("00000000-0000-4000-8000-000000000000")]
    [InlineData("Default")]
    [InlineData("1")]
    [InlineData("..%2Fdefault")]
    [InlineData("{00000000-0000-7000-8000-000000000000}")]
    public async Task What_no_organization_is_called_is_404(string id)
    {
        await (await SendAsync("GET", $"{Path}/{id}", _key)).IsProblem(404, "not_found");
        await (await SendAsync("GET", $"{Path}/{id}/audit", _key)).IsProblem(404, "not_found");
    }

    [Fact]
    public async Task The_list_comes_in_parts_the_newest_first_without_a_gap_or_a_repeat()
    {
        var made = new List<string>();
        for (var count = 0; count < 7; count++)
        {
            made.Add((await TenantAsync()).ToString());
            // Some of one moment.
            if (count % 3 == 2)
                Clock.Advance(TimeSpan.FromSeconds(1));
        }

        var listed = await WalkAsync($"{Path}?limit=3");
        var all = await WalkAsync($"{Path}?limit=200");

        Assert.Equal(all.Select(item => Text(item, "org_id")), listed.Select(item => Text(item, "org_id")));
        Assert.Equal(listed.Count, listed.Select(item => Text(item, "org_id")).Distinct().Count());
        Assert.Subset(listed.Select(item => Text(item, "org_id")!).ToHashSet(), made.ToHashSet());
        Assert.Equal(listed.Select(item => item.GetProperty("created_at").GetDateTimeOffset()).OrderDescending(), listed.Select(item => item.GetProperty("created_at").GetDateTimeOffset()));
        Assert.Contains("default", listed.Select(item => Text(item, "org_id")));
    }

    [Fact]
    public async Task Only_those_of_a_status_are_listed()
    {
        var suspended = await TenantAsync();
        await TenantAsync();
        await Postgres.RunAsync("update pulse.organizations set status = 'suspended' where org_id = $1", suspended);

        Assert.Equal([suspended.ToString()], (await WalkAsync($"{Path}?status=suspended")).Select(item => Text(item, "org_id")));
        Assert.Empty(await WalkAsync($"{Path}?status=pending_deletion"));
        Assert.DoesNotContain(suspended.ToString(), (await WalkAsync($"{Path}?status=active&limit=2")).Select(item => Text(item, "org_id")));
        Assert.Equal([suspended.ToString()], (await WalkAsync($"{Path}?status=suspended&q=org")).Select(item => Text(item, "org_id")));
    }

    [Fact]
    public async Task Organizations_are_found_by_the_beginning_of_their_name_and_then_of_their_owner_s_email()
    {
        var word = Guid.NewGuid().ToString("N");
        var byName = new List<string>();
        foreach (var name in (string[])["b", "A", "c"])
            byName.Add((await TenantAsync(Some.Signup with { OrgName = $"{word} {name}" })).ToString());
        var byEmail = new List<string>();
        foreach (var name in (string[])["y", "x"])
            byEmail.Add((await TenantAsync(Some.Signup with { Email = $"{word}{name}@example.org" })).ToString());
        // Found by both, told once.
        var both = (await TenantAsync(Some.Signup with { OrgName = $"{word} d", Email = $"{word}a@example.org" })).ToString();
        await TenantAsync(Some.Signup with { OrgName = $"not {word}" });

        string[] expected = [byName[1], byName[0], byName[2], both, byEmail[1], byEmail[0]];
        foreach (var limit in (int[])[1, 2, 4, 50])
            Assert.Equal(expected, (await WalkAsync($"{Path}?q={word.ToUpperInvariant()}&limit={limit}")).Select(item => Text(item, "org_id")));
        Assert.Equal([byEmail[0]], (await WalkAsync($"{Path}?q={word}y%40example.org")).Select(item => Text(item, "org_id")));
        Assert.Empty(await WalkAsync($"{Path}?q=%25{word}"));
        Assert.Empty(await WalkAsync($"{Path}?q={word}_"));
    }

    [Theory]
    [InlineData("limit=0", "limit")]
    [InlineData("limit=201", "limit")]
    [InlineData("limit=-1", "limit")]
    [InlineData("limit=ten", "limit")]
    [InlineData("limit=1&limit=2", "limit")]
    [InlineData("limit=99999999999999999999", "limit")]
    [InlineData("status=gone", "status")]
    [InlineData("status=active%00", "status")]
    [InlineData("q=%00", "q")]
    [InlineData("q=%20", "q")]
    [InlineData("q=a%0Ab", "q")]
    [InlineData("cursor=nonsense", "cursor")]
    [InlineData("cursor=W10", "cursor")]
    [InlineData("cursor=WyJ0IiwiOTk5OTk5OTk5OTk5OTk5OTk5OTkiLCIwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMCJd", "cursor")]
    [InlineData("q=a&cursor=WyJ0IiwiMSIsIjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwIl0", "cursor")]
    [InlineData("cursor=WyJuIiwiYSIsIjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwIl0", "cursor")]
    [InlineData("cursor=WyJuIixudWxsLCIwIl0", "cursor")]
    public async Task What_is_wrong_in_the_query_is_400_and_named(string query, string field)
    {
        var problem = await (await SendAsync("GET", $"{Path}?{query}", _key)).IsProblem(400, "invalid_request");

        Assert.Equal([field], problem.GetProperty("errors").EnumerateObject().Select(error => error.Name));
    }

    [Fact]
    public async Task A_text_too_long_to_look_for_is_400() =>
        await (await SendAsync("GET", $"{Path}?q={new string('x', 101)}", _key)).IsProblem(400, "invalid_request");

    [Fact]
    public async Task The_audit_log_of_an_organization_comes_in_parts_the_newest_first()
    {
        var (org, other) = (await TenantAsync(), await TenantAsync());
        for (var count = 0; count < 5; count++)
        {
            Clock.Advance(TimeSpan.FromSeconds(1));
            await Postgres.RunAsync("select pulse.append_audit($1, 'key:x', 'changed', $2, null, jsonb_build_object('count', $3), 'operation:1')",
                Clock.GetUtcNow().UtcDateTime, org, count);
            await Postgres.RunAsync("select pulse.append_audit($1, 'clock', 'changed', $2, null, null, null)", Clock.GetUtcNow().UtcDateTime, other);
        }

        var entries = await WalkAsync($"{Path}/{org}/audit?limit=2");

        Assert.Equal([4, 3, 2, 1, 0], entries.Select(entry => entry.GetProperty("after").GetProperty("count").GetInt32()));
        Assert.Equal(["id", "at", "actor", "action", "before", "after", "cause"], entries[0].EnumerateObject().Select(field => field.Name));
        Assert.Equal((Clock.GetUtcNow(), "key:x", "changed", JsonValueKind.Null),
            (entries[0].GetProperty("at").GetDateTimeOffset(), Text(entries[0], "actor"), Text(entries[0], "action"), entries[0].GetProperty("before").ValueKind));
        Assert.Empty(await WalkAsync($"{Path}/default/audit"));
        await (await SendAsync("GET", $"{Path}/{org}/audit?limit=0", _key)).IsProblem(400, "invalid_request");
        await (await SendAsync("GET", $"{Path}/{org}/audit?cursor=WyJhIiwiLTEiXQ", _key)).IsProblem(400, "invalid_request");
    }

    async Task<List<JsonElement>> WalkAsync(string path)
    {
        var items = new List<JsonElement>();
        string? cursor = null;
        do
        {
            var answer = await SendAsync("GET", cursor is null ? path : $"{path}{(path.Contains('?', StringComparison.Ordinal) ? '&' : '?')}cursor={cursor}", _key);
            Assert.Equal(200, (int)answer.StatusCode);
            var page = await answer.Json();
            items.AddRange(page.GetProperty("items").EnumerateArray());
            cursor = page.GetProperty("next_cursor").GetString();
        }
        while (cursor is not null);

        return items;
    }

    static string? Text(JsonElement element, string name) => element.GetProperty(name).GetString();
}
