using System.Net;
using System.Text.Json;
using Microsoft.Playwright;
using Pulse.EndToEnd.Console;
using Pulse.EndToEnd.Processes;
using Pulse.Testing;

namespace Pulse.EndToEnd.DeadLetters;

/// <summary>A message whose payload is wrong is put right in a copy, through the processes as they run.</summary>
public sealed class EditTests(RunningPulse pulse, Chromium chromium) : BrowserTests(pulse, chromium)
{
    public override async Task DisposeAsync()
    {
        await Pulse.RestartAsync("worker");
        await base.DisposeAsync();
    }

    [Fact]
    public async Task A_wrong_message_is_edited_over_the_api_replayed_and_done_once()
    {
        var org = await TenantAsync();
        var (_, letter) = await PoisonAsync(org);
        var right = Guid.CreateVersion7();
        await MendAsync(right, org);
        var good = Message(right, org);

        await RefusedAsync(letter, good, HttpStatusCode.Conflict, "edit_disabled");
        await Pulse.RestartAsync("worker", ("PULSE_REPLAY_EDIT", "true"));
        await RefusedAsync(letter, good, HttpStatusCode.Forbidden, "insufficient_scope", await KeyAsync("deadletters:read", "deadletters:write"));
        await RefusedAsync(letter, good, HttpStatusCode.Forbidden, "insufficient_scope", await KeyAsync("deadletters:read", "deadletters:reveal"));
        foreach (var wrong in (string[])
                 [
                     """{"operationId":"nobody","orgId":"nobody"}""", $$"""{"orgId":"{{org}}"}""", $$"""{"operationId":"{{right}}","orgId":"{{org}}","acceptedAt":"2026-11-21T12:00:00Z","reasons":"mistyped"}""",
                 ])
        {
            await RefusedAsync(letter, wrong, HttpStatusCode.BadRequest, "invalid_message");
        }

        await RefusedAsync(letter, await RevealedAsync(letter), HttpStatusCode.Conflict, "unchanged");
        Assert.Equal("parked", await StatusAsync(letter));
        Assert.Equal(0L, await AuditedAsync("dead_letter_edited", letter));

        using var answer = await EditAsync(letter, good);
        var edited = JsonSerializer.Deserialize<JsonElement>(await answer.Content.ReadAsStringAsync());
        Assert.True(answer.IsSuccessStatusCode, edited.ToString());
        var copy = edited.GetProperty("dead_letter_id").GetGuid();
        Assert.Equal(letter, edited.GetProperty("edited_from").GetGuid());
        Assert.Contains("/operationId", edited.GetProperty("changed").EnumerateArray().Select(path => path.GetString()));

        // Both are there, and say of each other.
        var (original, shown) = (await LetterAsync(letter), await LetterAsync(copy));
        Assert.Equal((copy, "discarded", "a typo"), (original.GetProperty("edited_into").GetGuid(), original.GetProperty("letter").GetProperty("status").GetString(), original.GetProperty("discard_reason").GetString()));
        Assert.Equal(letter, shown.GetProperty("edited_from").GetGuid());
        var change = shown.GetProperty("edit").EnumerateArray().Single(part => part.GetProperty("path").GetString() == "/operationId");
        Assert.Contains(right.ToString(), change.GetProperty("after").GetString(), StringComparison.Ordinal);
        Assert.DoesNotContain(Planted, shown.ToString(), StringComparison.Ordinal);
        Assert.NotEqual(original.GetProperty("letter").GetProperty("message_id").GetGuid(), shown.GetProperty("letter").GetProperty("message_id").GetGuid());

        Assert.Equal(1L, await AuditedAsync("dead_letter_edited", letter));
        var audit = await Pulse.AskAsync<string>("select after::text from pulse.audit_log where action = 'dead_letter_edited' and after ->> 'edited_from' = $1", letter.ToString());
        Assert.Contains("/operationId", audit, StringComparison.Ordinal);
        foreach (var value in (string[])[Planted, "ada@example.com", right.ToString()])
            Assert.DoesNotContain(value, audit, StringComparison.Ordinal);

        await ReplayedAsync(copy);
        await OnceAsync(org, right);
        Assert.Equal("discarded", await StatusAsync(letter));
    }

    [Fact]
    public async Task A_wrong_message_is_edited_in_the_console_and_a_mistake_costs_nothing_that_was_typed()
    {
        var org = await TenantAsync();
        var (wrong, letter) = await PoisonAsync(org);
        var right = Guid.CreateVersion7();
        await MendAsync(right, org);
        var page = await SignedInAsync();
        var text = page.GetByLabel("The message as it shall be (JSON)");

        // The worker says no, and what was typed stays.
        await OpenAsync();
        Assert.Contains(wrong.ToString(), await text.InputValueAsync(), StringComparison.Ordinal);
        Assert.Contains(Planted, await text.InputValueAsync(), StringComparison.Ordinal);
        await text.FillAsync(Message(right, org));
        await SendAsync("PULSE_REPLAY_EDIT=true");
        Assert.Equal(Message(right, org), await text.InputValueAsync());
        Assert.Equal("parked", await StatusAsync(letter));

        await Pulse.RestartAsync("worker", ("PULSE_REPLAY_EDIT", "true"));
        await OpenAsync();
        await text.FillAsync("{");
        await SendAsync("It is not a JSON object");
        await text.FillAsync("""{"operationId":"nobody"}""");
        await SendAsync("It is no SuspendOrganization");
        await text.FillAsync(Message(right, org));
        await page.GetByLabel("Reason").FillAsync("a typo");
        await Button(page, "Make the copy").ClickAsync();

        await Assertions.Expect(page.GetByText("An edited copy of this message.")).ToBeVisibleAsync();
        var change = page.GetByRole(AriaRole.Region, new() { Name = "What was edited" }).First;
        await Assertions.Expect(change).ToContainTextAsync(wrong.ToString());
        await Assertions.Expect(change).ToContainTextAsync(right.ToString());
        Assert.DoesNotContain(Planted, await page.ContentAsync(), StringComparison.Ordinal);
        await Link(page, "this message").ClickAsync();
        await Assertions.Expect(page.GetByText("An edited copy stands in for it.")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByText("Edit a copy…")).ToHaveCountAsync(0);
        await Link(page, "An edited copy").ClickAsync();
        await Button(page, "Plan a replay").ClickAsync();
        await Button(page, "Start the replay").ClickAsync();
        await Assertions.Expect(page.GetByText("Every message was handled.")).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await OnceAsync(org, right);
        Assert.Empty(Complaints);

        async Task OpenAsync()
        {
            await GoAsync(page, $"/console/dead-letters/messages/{letter}");
            await Link(page, "Edit a copy…").ClickAsync();
            await Button(page, "Show and edit").ClickAsync();
        }

        async Task SendAsync(string mistake)
        {
            await page.GetByLabel("Reason").FillAsync("a typo");
            await Button(page, "Make the copy").ClickAsync();
            await Assertions.Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync(mistake);
        }
    }

    static string Message(Guid operation, Guid org) => $$"""{"operationId":"{{operation}}","orgId":"{{org}}","acceptedAt":"2026-11-21T12:00:00Z"}""";

    Task<HttpResponseMessage> EditAsync(Guid letter, string message, string? key = null) =>
        Pulse.SendAsync("POST", $"/api/admin/dead-letters/{letter}/edit", $$"""{"message":{{message}},"reason":"a typo"}""", key);

    async Task RefusedAsync(Guid letter, string message, HttpStatusCode status, string code, string? key = null)
    {
        using var answer = await EditAsync(letter, message, key);
        var problem = JsonSerializer.Deserialize<JsonElement>(await answer.Content.ReadAsStringAsync());
        Assert.True((answer.StatusCode, problem.GetProperty("code").GetString()) == (status, code), $"{message}: {(int)answer.StatusCode} {problem}");
    }

    async Task<string> RevealedAsync(Guid letter)
    {
        using var answer = await Pulse.SendAsync("POST", $"/api/admin/dead-letters/{letter}/reveal");
        return JsonSerializer.Deserialize<JsonElement>(await answer.Content.ReadAsStringAsync()).GetProperty("payload").GetProperty("message").GetRawText();
    }

    async Task<JsonElement> LetterAsync(Guid letter)
    {
        using var answer = await Pulse.SendAsync("GET", $"/api/admin/dead-letters/{letter}");
        return JsonSerializer.Deserialize<JsonElement>(await answer.Content.ReadAsStringAsync());
    }

    async Task ReplayedAsync(Guid letter)
    {
        using var planned = await Pulse.SendAsync("POST", "/api/admin/replays", $$"""{"ids":["{{letter}}"]}""");
        var replay = JsonSerializer.Deserialize<JsonElement>(await planned.Content.ReadAsStringAsync()).GetProperty("replay_id").GetGuid();
        using var started = await Pulse.SendAsync("POST", $"/api/admin/replays/{replay}/start");
        Assert.True(started.IsSuccessStatusCode, await started.Content.ReadAsStringAsync());
        await Eventually.Until(async () => await StatusAsync(letter) == "resolved", TimeSpan.FromSeconds(60), "the copy is resolved");
    }

    Task<long> AuditedAsync(string action, Guid letter) =>
        Pulse.AskAsync<long>("select count(*) from pulse.audit_log where action = $1 and after ->> 'edited_from' = $2", action, letter.ToString());

    async Task OnceAsync(Guid org, Guid operation)
    {
        Assert.Equal("suspended succeeded", await Pulse.AskAsync<string>(
            "select o.status || ' ' || p.status from pulse.organizations o, pulse.operations p where o.org_id = $1 and p.operation_id = $2", org, operation));
        Assert.Equal(1L, await Pulse.AskAsync<long>("select count(*) from pulse.audit_log where org_id = $1 and action = 'organization_suspended'", org));
    }
}
