using System.Text.Json;
using Pulse.Contracts.Keys;
using Pulse.Tests.Admin;
using Pulse.Tests.Signups;

namespace Pulse.Tests.DeadLetters;

/// <summary>The admin API over letters as the collector stores them; the worker's part of a command is done by hand.</summary>
public sealed class DeadLetterApiTests(TestPostgres postgres) : AdminTests(postgres)
{
    const string Path = "/api/admin/dead-letters";
    const string Secret = "sk_live_51HxPlanted9f3aQ";

    string _key = "";

    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        await Postgres.RunAsync("delete from pulse.dead_letters; delete from pulse.dead_letter_groups; delete from pulse.replays; delete from pulse.operations");
        _key = await Postgres.KeyAsync(Scopes.DeadLettersRead, Scopes.DeadLettersWrite, Scopes.DeadLettersReveal);
    }

    [Fact]
    public async Task A_list_goes_on_behind_its_cursor_and_has_each_letter_once()
    {
        for (var number = 0; number < 7; number++)
            await new StoredLetter { FailedAt = Clock.GetUtcNow().UtcDateTime.AddMinutes(-(number / 2)) }.StoreAsync(Postgres);

        var (seen, cursor) = (new List<Guid>(), "");
        do
        {
            var page = await GetAsync($"{Path}?limit=3&cursor={cursor}");
            seen.AddRange(page.GetProperty("items").EnumerateArray().Select(item => item.GetProperty("dead_letter_id").GetGuid()));
            cursor = page.GetProperty("next_cursor").GetString();
        }
        while (cursor is not null);

        Assert.Equal((7, 7), (seen.Count, seen.Distinct().Count()));
    }

    [Fact]
    public async Task Each_filter_finds_what_it_says()
    {
        var (org, now) = (Guid.CreateVersion7(), Clock.GetUtcNow().UtcDateTime);
        var wanted = await new StoredLetter
        {
            Queue = "lifecycle",
            MessageType = "Pulse.Contracts.Lifecycle:SuspendOrganization",
            ExceptionType = "System.TimeoutException",
            ExceptionMessage = "The broker timed out",
            Fingerprint = new string('a', 32),
            OrgId = org,
            Status = "failed_again",
            FailedAt = now.AddHours(-1),
        }.StoreAsync(Postgres);
        await new StoredLetter { FailedAt = now.AddHours(-5) }.StoreAsync(Postgres);

        foreach (var query in (string[])
                 [
                     "queue=lifecycle", "type=Pulse.Contracts.Lifecycle:SuspendOrganization", "exception=System.TimeoutException", $"fingerprint={new string('a', 32)}", $"org={org}",
                     "status=failed_again", "status=failed_again,resolved", "status=failed_again&status=resolved", $"from={now.AddHours(-2):O}", "q=timed+broker", "status=open&queue=lifecycle",
                 ])
        {
            var items = (await GetAsync($"{Path}?{query}")).GetProperty("items").EnumerateArray().ToList();
            Assert.True(items is [var only] && only.GetProperty("dead_letter_id").GetGuid() == wanted.Id, $"{query} found {items.Count}");
        }

        Assert.Single((await GetAsync($"{Path}?to={now.AddHours(-2):O}")).GetProperty("items").EnumerateArray());
        Assert.Equal(2, (await GetAsync($"{Path}?status=open&q=&queue=")).GetProperty("items").GetArrayLength());
        foreach (var wrong in (string[])["status=nonsense", "org=x", "id=x", "from=yesterday", "to=1", "limit=0", "cursor=x", "reason=x", "queue=a&queue=b", "q=" + new string('x', 201)])
            await (await SendAsync("GET", $"{Path}?{wrong}", _key)).IsProblem(400, "invalid_request");
    }

    [Fact]
    public async Task Groups_tell_how_many_letters_stand_where()
    {
        await new StoredLetter { Fingerprint = new string('b', 32) }.StoreAsync(Postgres);
        await new StoredLetter { Fingerprint = new string('b', 32), Status = "resolved" }.StoreAsync(Postgres);
        await new StoredLetter { Fingerprint = new string('c', 32), Queue = "lifecycle", Status = "resolved", FailedAt = Clock.GetUtcNow().UtcDateTime }.StoreAsync(Postgres);

        var groups = (await GetAsync($"{Path}/groups")).GetProperty("items").EnumerateArray().ToList();
        Assert.Equal([new string('c', 32), new string('b', 32)], groups.Select(group => group.GetProperty("fingerprint").GetString()));
        Assert.Equal((2, """{"parked":1,"resolved":1}"""), (groups[1].GetProperty("letters").GetInt32(), groups[1].GetProperty("statuses").GetRawText()));

        Assert.Single((await GetAsync($"{Path}/groups?status=open")).GetProperty("items").EnumerateArray());
        Assert.Single((await GetAsync($"{Path}/groups?queue=lifecycle")).GetProperty("items").EnumerateArray());
        var first = await GetAsync($"{Path}/groups?limit=1");
        var second = await GetAsync($"{Path}/groups?limit=1&cursor={first.GetProperty("next_cursor").GetString()}");
        Assert.Equal(new string('b', 32), second.GetProperty("items")[0].GetProperty("fingerprint").GetString());
    }

    [Fact]
    public async Task A_secret_in_payload_headers_exception_and_stack_is_in_no_answer()
    {
        var letter = await PlantedAsync();
        await ReplayAsync(letter.Id);

        foreach (var path in (string[])[Path, $"{Path}?q=unknown", $"{Path}/groups", $"{Path}/{letter.Id}", "/api/admin/replays", $"/api/admin/replays/{letter.Id}"])
        {
            var answer = await (await SendAsync("GET", path, _key)).Content.ReadAsStringAsync();
            Assert.DoesNotContain(Secret, answer, StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotContain("ada@", answer, StringComparison.OrdinalIgnoreCase);
        }

        var detail = await GetAsync($"{Path}/{letter.Id}");
        Assert.Equal("cus_1", detail.GetProperty("payload").GetProperty("message").GetProperty("customerId").GetString());
        Assert.Equal("fault", detail.GetProperty("headers").GetProperty("MT-Reason").GetString());
        Assert.Contains("CustomerSync.cs:line 7", detail.GetProperty("stack").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_masked_is_found_by_no_filter_whoever_guesses_it()
    {
        // Words that are shown elsewhere stand within words that are masked: they must not be told piece by piece.
        var letter = await PlantedAsync(" pin 4711/222/333, mail.price-xyzzy@timeout.example (deadlock=xyzzy)");
        foreach (var key in (string[])[await Postgres.KeyAsync(Scopes.DeadLettersRead, Scopes.DeadLettersWrite), _key])
        {
            foreach (var shown in (string[])["unknown", "Key", "is+unknown", "System.InvalidOperationException", "InvalidOperationException", "billing-sync", "SyncStripeCustomer"])
                Assert.True(await FindsAsync(key, $"q={shown}"), shown);
            foreach (var part in (string[])["4711", "222", "333", "mail", "price", "timeout", "deadlock"])
                Assert.False(await FindsAsync(key, $"q={part}"), part);
            foreach (var guess in (string[])[Secret, Secret[..12], Secret[..10], "sk", "live", Secret[8..], "ada@example.com", "ada", "example.com", "4711/222/333", "xyzzy", "(deadlock=xyzzy)"])
            {
                foreach (var field in (string[])["q", "type", "exception", "queue", "fingerprint", "reason", "org", "id", "status", "from"])
                    Assert.False(await FindsAsync(key, $"{field}={Uri.EscapeDataString(guess)}"), $"{field} {guess}");
            }

            await (await SendAsync("POST", "/api/admin/replays", key, $$$"""{"filter":{"text":"{{{Secret}}}"}}""")).IsProblem(400, "invalid_request");
            await (await SendAsync("POST", $"{Path}/discard", key, $$$"""{"filter":{"text":"{{{Secret}}}"},"reason":"why"}""")).IsProblem(400, "invalid_request");
        }

        Assert.Equal(0L, await Postgres.AskAsync<long>("select count(*) from pulse.operations"));

        // An exception's and a message's type may be anybody's as well.
        letter = await new StoredLetter { ExceptionType = $"Acme.{Secret}", MessageType = $"Acme:{Secret}" }.StoreAsync(Postgres);
        foreach (var query in (string[])[$"exception={letter.ExceptionType}", $"type={letter.MessageType}", "q=live", "q=51HxPlanted9f3aQ"])
            Assert.False(await FindsAsync(_key, query), query);

        async Task<bool> FindsAsync(string key, string query)
        {
            using var answer = await SendAsync("GET", $"{Path}?{query}", key);
            var text = await answer.Content.ReadAsStringAsync();
            Assert.True((int)answer.StatusCode is 200 or 400, text);
            return text.Contains(letter.Id.ToString(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Who_may_not_see_a_message_can_not_try_values_by_editing_it()
    {
        var letter = await PlantedAsync();
        var writer = await Postgres.KeyAsync(Scopes.DeadLettersRead, Scopes.DeadLettersWrite);
        await (await SendAsync("POST", $"{Path}/{letter.Id}/edit", writer, """{"message":{"pin":"1234"},"reason":"why"}""")).IsProblem(403, "insufficient_scope");
        Assert.Equal(0L, await Postgres.AskAsync<long>("select count(*) from pulse.operations"));
    }

    [Fact]
    public async Task The_result_of_a_preview_is_masked_where_operations_are_told_as_well()
    {
        var letter = await PlantedAsync();
        await ReplayAsync(letter.Id);
        var asked = SendAsync("POST", $"/api/admin/replays/{letter.Id}/preview", _key, "{}");
        var operation = await PendingAsync();
        await SucceedAsync(operation, Preview(letter.Id));

        var answer = await (await asked).Content.ReadAsStringAsync();
        var status = await (await SendAsync("GET", $"/api/admin/operations/{operation}", _key)).Content.ReadAsStringAsync();
        foreach (var text in (string[])[answer, status])
        {
            Assert.DoesNotContain(Secret, text, StringComparison.OrdinalIgnoreCase);
            Assert.Contains("would_fail", text, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_letter_is_revealed_only_after_the_worker_has_audited_it_and_each_look_anew()
    {
        var letter = await PlantedAsync();
        var key = Some.Key;

        var asked = SendAsync("POST", $"{Path}/{letter.Id}/reveal", _key, null, ("Idempotency-Key", key));
        var operation = await PendingAsync();
        Assert.False(asked.IsCompleted);
        await SucceedAsync(operation, $$"""{"dead_letter_id":"{{letter.Id}}","audited_at":"{{Clock.GetUtcNow():O}}"}""");

        var revealed = await (await asked).Json();
        Assert.Contains(Secret, revealed.GetProperty("payload").GetRawText(), StringComparison.Ordinal);
        Assert.Contains(Secret, revealed.GetProperty("headers").GetRawText(), StringComparison.Ordinal);
        Assert.Contains(Secret, revealed.GetProperty("exception_message").GetString(), StringComparison.Ordinal);
        Assert.Equal("deadletters.reveal", await Postgres.AskAsync<string>("select kind from pulse.operations where operation_id = $1", operation));
        // Nothing of it is kept with the operation.
        Assert.DoesNotContain(Secret, await (await SendAsync("GET", $"/api/admin/operations/{operation}", _key)).Content.ReadAsStringAsync(), StringComparison.Ordinal);

        // An answer that was lost can be had again, for a while; then it has to be asked for anew.
        Assert.Equal(200, (int)(await SendAsync("POST", $"{Path}/{letter.Id}/reveal", _key, null, ("Idempotency-Key", key))).StatusCode);
        Clock.Advance(TimeSpan.FromMinutes(6));
        await (await SendAsync("POST", $"{Path}/{letter.Id}/reveal", _key, null, ("Idempotency-Key", key))).IsProblem(409, "reveal_expired");
        // The key of one letter is no key to another.
        var other = await new StoredLetter().StoreAsync(Postgres);
        await (await SendAsync("POST", $"{Path}/{other.Id}/reveal", _key, null, ("Idempotency-Key", key))).IsProblem(422, "idempotency_key_reused");
    }

    [Theory]
    [InlineData("replays", "{}")]
    [InlineData("replays", """{"filter":{},"ids":[]}""")]
    [InlineData("replays", """{"ids":[]}""")]
    [InlineData("replays", """{"ids":["x"]}""")]
    [InlineData("replays", """{"filter":{"quene":"billing-sync"}}""")]
    [InlineData("replays", """{"filter":{"status":["nonsense"]}}""")]
    [InlineData("replays", """{"filter":{},"include_quarantined":true}""")]
    [InlineData("replays", """{"filter":{},"rate":1}""")]
    [InlineData("dead-letters/discard", """{"filter":{}}""")]
    [InlineData("dead-letters/discard", """{"filter":{},"reason":""}""")]
    [InlineData("dead-letters/restore", """{"reason":"why"}""")]
    [InlineData("replays/{id}/start", """{"rate_per_second":-1}""")]
    [InlineData("replays/{id}/start", """{"canary":1.5}""")]
    [InlineData("replays/{id}/start", """{"stop_on_failure_ratio":1.1}""")]
    [InlineData("replays/{id}/start", """{"rate_per_second":10001}""")]
    [InlineData("replays/{id}/start", """{"rate_per_second":1e-13}""")]
    [InlineData("replays/{id}/preview", """{"sample":201}""")]
    [InlineData("replays/{id}/pause", """{"reason":"x"}""")]
    [InlineData("dead-letters/{id}/edit", """{"message":"text","reason":"why"}""")]
    [InlineData("dead-letters/{id}/edit", """{"message":{}}""")]
    public async Task What_a_command_says_is_looked_at_before_it_is_stored(string path, string body)
    {
        var letter = await new StoredLetter().StoreAsync(Postgres);
        await ReplayAsync(letter.Id);

        await (await SendAsync("POST", "/api/admin/" + path.Replace("{id}", letter.Id.ToString(), StringComparison.Ordinal), _key, body)).IsProblem(400, "invalid_request");

        Assert.Equal(0L, await Postgres.AskAsync<long>("select count(*) from pulse.operations"));
    }

    [Theory]
    [InlineData("replays", "deadletters.plan", """{"filter":{"queue":"billing-sync","status":"open","from":"2026-01-01T00:00:00Z"}}""",
        """{"filter":{"queue":"billing-sync","status":["parked","failed_again","quarantined"],"failed_from":"2026-01-01T00:00:00+00:00"}}""")]
    [InlineData("replays/{id}/start", "deadletters.start", """{"rate_per_second":0.5,"canary":0}""", """{"about":"{id}","canary":0,"rate_per_second":0.5,"stop_on_failure_ratio":0.1}""")]
    [InlineData("replays/{id}/cancel", "deadletters.cancel", "{}", """{"about":"{id}"}""")]
    [InlineData("dead-letters/discard", "deadletters.discard", """{"ids":["{id}"],"reason":" why "}""", """{"ids":["{id}"],"reason":"why"}""")]
    [InlineData("dead-letters/{id}/edit", "deadletters.edit", """{"message":{"customerId":"cus_2"},"reason":"why"}""", """{"about":"{id}","reason":"why","message":{"customerId":"cus_2"},"dead_letter_id":"{id}"}""")]
    public async Task A_command_is_an_operation_with_what_was_said(string path, string kind, string body, string request)
    {
        var letter = await new StoredLetter().StoreAsync(Postgres);
        await ReplayAsync(letter.Id);
        string Filled(string text) => text.Replace("{id}", letter.Id.ToString(), StringComparison.Ordinal);

        var asked = SendAsync("POST", "/api/admin/" + Filled(path), _key, Filled(body));
        var operation = await PendingAsync();

        Assert.Equal(kind, await Postgres.AskAsync<string>("select kind from pulse.operations where operation_id = $1", operation));
        Assert.True(await Postgres.AskAsync<bool>("select request = $2::text::jsonb from pulse.operations where operation_id = $1", operation, Filled(request)),
            await Postgres.AskAsync<string>("select request::text from pulse.operations where operation_id = $1", operation));
        await RefuseAsync(operation, 409, "because", "It was refused.");
        await (await asked).IsProblem(409, "because");
    }

    async Task<StoredLetter> PlantedAsync(string more = "") => await new StoredLetter
    {
        ExceptionMessage = $"The key {Secret} of ada@example.com is unknown{more}",
        ExceptionType = "System.InvalidOperationException",
        Stack = $"   at Pulse.Worker.Billing.CustomerSync.Run(String {Secret}) in /home/{Secret}/CustomerSync.cs:line 7\n{Secret}",
        Body = JsonSerializer.Serialize(new { message = new { customerId = "cus_1", email = "ada@example.com", note = Secret, list = new[] { Secret } } }),
        Headers = new Dictionary<string, object> { ["MT-Reason"] = "fault", ["Authorization"] = Secret, ["MT-Fault-Message"] = $"key {Secret}" },
    }.StoreAsync(Postgres);

    /// <summary>A plan as the worker stores one, under the id of its letter.</summary>
    Task ReplayAsync(Guid id) => Postgres.RunAsync("""
        insert into pulse.replays (replay_id, request, plan, preview, letters, planned_by, planned_at, expires_at, changed_at)
        values ($1, '{"filter":{}}', $2::text::jsonb, $3::text::jsonb, 1, 'key:x', $4, $4, $4)
        """, id, $$"""{"found":1,"capped":false,"groups":[{"fingerprint":"f","queue":"billing-sync","exception_type":"System.{{Secret}}","letters":1}],"samples":["{{id}}"],"excluded":[]}""",
        Preview(id), Clock.GetUtcNow().UtcDateTime);

    static string Preview(Guid id) => $$"""
        {"replay_id":"{{id}}","at":"2026-11-21T12:00:00Z","letters":1,"looked_at":1,"would_create":0,"would_change":0,"would_change_nothing":0,"would_fail":1,"cannot_tell":0,
        "summary":"1 would still fail","outcomes":[{"dead_letter_id":"{{id}}","outcome":"would_fail","exception_type":"System.InvalidOperationException","exception_message":"wrong key {{Secret}}"}]}
        """;

    async Task<JsonElement> GetAsync(string path)
    {
        using var answer = await SendAsync("GET", path, _key);
        var json = await answer.Json();
        Assert.True(answer.IsSuccessStatusCode, json.ToString());
        return json;
    }

    async Task<Guid> PendingAsync()
    {
        const string sql = "select coalesce((select operation_id from pulse.operations where status = 'pending'), '00000000-0000-0000-0000-000000000000')";
        await Eventually.Until(async () => await Postgres.AskAsync<Guid>(sql) != Guid.Empty, TimeSpan.FromSeconds(10), "an operation is pending");
        return await Postgres.AskAsync<Guid>(sql);
    }
}
