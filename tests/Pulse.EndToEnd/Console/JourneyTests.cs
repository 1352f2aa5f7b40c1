using Microsoft.Playwright;
using Pulse.EndToEnd.Processes;
using Pulse.Testing;

namespace Pulse.EndToEnd.Console;

/// <summary>What an operator does when something broke, from the sign-in to the end.</summary>
public sealed class JourneyTests(RunningPulse pulse, Chromium chromium) : BrowserTests(pulse, chromium)
{
    [Fact]
    public async Task A_message_that_failed_is_understood_put_right_previewed_replayed_and_resolved()
    {
        var org = await TenantAsync();
        var (operation, letter) = await PoisonAsync(org);
        var page = await SignedInAsync();

        await Link(page, "Dead letters").ClickAsync();
        await Heading(page, "Dead letters").ToBeVisibleAsync();
        await page.GetByRole(AriaRole.Link, new() { Name = "OperationMissingException" }).First.ClickAsync();
        await Heading(page, "OperationMissingException").ToBeVisibleAsync();
        await page.Locator($"a[href$='{letter}']").ClickAsync();
        await Heading(page, "SuspendOrganization").ToBeVisibleAsync();
        await Assertions.Expect(page.Locator("main")).ToContainTextAsync(org.ToString());
        await Assertions.Expect(page.GetByRole(AriaRole.Region, new() { Name = "Payload" })).ToContainTextAsync("•••");

        // A preview before it is put right says that it would fail again.
        await Button(page, "Plan a replay").ClickAsync();
        await Heading(page, "Plan of a replay").ToBeVisibleAsync();
        await Button(page, "Preview").ClickAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Region, new() { Name = "Preview", Exact = true })).ToContainTextAsync("would still fail");
        Assert.Equal("parked", await StatusAsync(letter));

        await MendAsync(operation, org);
        await Button(page, "Preview").ClickAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Region, new() { Name = "Preview", Exact = true })).ToContainTextAsync("would change something");
        Assert.Equal("active", await Pulse.AskAsync<string>("select status from pulse.organizations where org_id = $1", org));

        await page.GetByLabel("Canary").FillAsync("1");
        var completed = await EndedAsync("completed");
        await Button(page, "Start the replay").ClickAsync();
        await Assertions.Expect(page.GetByText("Every message was handled.")).ToBeVisibleAsync(new() { Timeout = 60_000 });
        await OneMoreEndedAsync("completed", completed);
        await Assertions.Expect(page.GetByRole(AriaRole.Progressbar)).ToHaveAttributeAsync("value", "1");

        Assert.Equal("resolved", await StatusAsync(letter));
        await GoAsync(page, $"/console/organizations/{org}");
        await Assertions.Expect(page.GetByRole(AriaRole.Region, new() { Name = "Lifecycle" })).ToContainTextAsync("suspended");
        await Link(page, "Audit").ClickAsync();
        await Assertions.Expect(page.Locator("main")).ToContainTextAsync("replay started");
        Assert.Empty(Complaints);
    }

    [Fact]
    public async Task A_running_replay_is_followed_without_loading_the_page_anew_paused_resumed_and_cancelled()
    {
        var org = await TenantAsync();
        var letters = new List<Guid>();
        for (var number = 0; number < 6; number++)
        {
            var (operation, letter) = await PoisonAsync(org);
            await MendAsync(operation, org);
            letters.Add(letter);
        }

        var page = await SignedInAsync();
        await GoAsync(page, $"/console/dead-letters/messages?org={org}");
        foreach (var letter in letters)
            await page.Locator($"input[value='{letter}']").CheckAsync();
        await Button(page, "Plan a replay of the chosen").ClickAsync();
        await page.GetByLabel("Canary").FillAsync("0");
        await page.GetByLabel("Messages a second").FillAsync("0.4");
        await page.GetByLabel("Stop when so many fail again").FillAsync("1");
        await Button(page, "Start the replay").ClickAsync();

        var bar = page.GetByRole(AriaRole.Progressbar);
        await page.EvaluateAsync("document.body.dataset.same = 'yes'");
        await Assertions.Expect(bar).Not.ToHaveAttributeAsync("value", "0", new() { Timeout = 20_000 });
        // Five of six suspend nothing: the organization is suspended already. That is an end, too.
        Assert.Equal("yes", await page.EvaluateAsync<string>("document.body.dataset.same ?? 'anew'"));

        await Button(page, "Pause").ClickAsync();
        await Assertions.Expect(page.GetByText("It is paused")).ToBeVisibleAsync();
        await Button(page, "Resume").ClickAsync();
        var cancelled = await EndedAsync("cancelled");
        await Button(page, "Cancel the replay").ClickAsync();
        await Assertions.Expect(page.GetByText("It was cancelled.")).ToBeVisibleAsync();
        await OneMoreEndedAsync("cancelled", cancelled);
        Assert.Empty(Complaints);
    }

    [Fact]
    public async Task A_message_is_given_up_with_a_reason_and_taken_back()
    {
        var (_, letter) = await PoisonAsync(await TenantAsync());
        var page = await SignedInAsync();
        await GoAsync(page, $"/console/dead-letters/messages/{letter}");

        await Button(page, "Discard…").ClickAsync();
        await page.GetByLabel("Reason").FillAsync("a test");
        await Button(page, "Discard").ClickAsync();
        await Assertions.Expect(page.GetByText("1 message discarded.")).ToBeVisibleAsync();
        await GoAsync(page, $"/console/dead-letters/messages/{letter}");
        await Assertions.Expect(page.GetByRole(AriaRole.Region, new() { Name = "Facts" })).ToContainTextAsync("a test");

        await Button(page, "Restore…").ClickAsync();
        await page.GetByLabel("Reason").FillAsync("a second thought");
        await Button(page, "Restore").ClickAsync();
        await Assertions.Expect(page.GetByText("1 message restored.")).ToBeVisibleAsync();
        Assert.Equal("parked", await StatusAsync(letter));
        Assert.Empty(Complaints);
    }

    [Fact]
    public async Task An_organization_is_suspended_and_unsuspended_each_after_a_confirmation_and_the_audit_log_says_so()
    {
        var name = $"Analytical Engines {Guid.NewGuid():N}";
        var org = await TenantAsync(name);
        var page = await SignedInAsync();

        await Link(page, "Organizations").ClickAsync();
        await page.GetByLabel("Name or owner's email begins with").FillAsync(name);
        await Button(page, "Find").ClickAsync();
        await page.GetByRole(AriaRole.Link, new() { Name = name }).ClickAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Region, new() { Name = "Billing" })).ToContainTextAsync("trial");

        await Link(page, "Suspend…").ClickAsync();
        await Heading(page, $"Suspend: {name}").ToBeVisibleAsync();
        Assert.Equal("active", await Pulse.AskAsync<string>("select status from pulse.organizations where org_id = $1", org));
        await page.GetByLabel("Reason (may be left out)").FillAsync("unpaid");
        await Button(page, "Suspend").ClickAsync();
        await Assertions.Expect(page.GetByText("It is suspended.")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Region, new() { Name = "Lifecycle" })).ToContainTextAsync("unpaid");

        await Link(page, "Unsuspend…").ClickAsync();
        await Button(page, "Unsuspend").ClickAsync();
        await Assertions.Expect(page.GetByText("The suspension is lifted.")).ToBeVisibleAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Region, new() { Name = "What was changed", Exact = true }).First).ToContainTextAsync("organization unsuspended");
        await Link(page, "Audit").ClickAsync();
        await Assertions.Expect(page.Locator("main")).ToContainTextAsync("organization suspended");
        await Assertions.Expect(page.Locator("main")).ToContainTextAsync(org.ToString()[^12..]);
        Assert.Empty(Complaints);
    }

    [Fact]
    public async Task An_organization_is_held_deleted_and_restored_each_after_a_confirmation()
    {
        var name = $"Difference Engines {Guid.NewGuid():N}";
        var org = await TenantAsync(name);
        var page = await SignedInAsync();
        var lifecycle = page.GetByRole(AriaRole.Region, new() { Name = "Lifecycle" });
        await GoAsync(page, $"/console/organizations/{org}");

        await Link(page, "Place a legal hold…").ClickAsync();
        await Heading(page, $"Place a legal hold: {name}").ToBeVisibleAsync();
        await page.GetByLabel("Reason").FillAsync("a court asks");
        await Link(page, "Cancel").ClickAsync();
        Assert.False(await HeldAsync());
        await Link(page, "Place a legal hold…").ClickAsync();
        await page.GetByLabel("Reason").FillAsync("a court asks");
        await Button(page, "Place a legal hold").ClickAsync();
        await Assertions.Expect(page.GetByText("It is under legal hold.")).ToBeVisibleAsync();
        await Assertions.Expect(lifecycle).ToContainTextAsync("a court asks");

        await Link(page, "Delete…").ClickAsync();
        Assert.Equal("active", await StandingAsync());
        await page.GetByLabel("Days until it is purged").FillAsync("45");
        await Button(page, "Delete").ClickAsync();
        await Assertions.Expect(page.GetByText("It is deleted, and can be restored")).ToBeVisibleAsync();
        await Assertions.Expect(lifecycle).ToContainTextAsync("45 days");
        Assert.Equal("pending_deletion", await StandingAsync());
        // What would be refused is not offered, and says so to who asks all the same.
        await Assertions.Expect(Link(page, "Suspend…")).ToHaveCountAsync(0);
        await GoAsync(page, $"/console/organizations/{org}/suspend");
        await Assertions.Expect(page.GetByText("As it stands now this will be refused.")).ToBeVisibleAsync();
        await Button(page, "Suspend").ClickAsync();
        await Heading(page, "Nothing was done").ToBeVisibleAsync();
        await Link(page, "Go back").ClickAsync();

        await Link(page, "Restore…").ClickAsync();
        await Button(page, "Restore").ClickAsync();
        await Assertions.Expect(page.GetByText("It is restored.")).ToBeVisibleAsync();
        await Link(page, "Release the legal hold…").ClickAsync();
        await Button(page, "Release the legal hold").ClickAsync();
        await Assertions.Expect(page.GetByText("The legal hold is released.")).ToBeVisibleAsync();
        Assert.Equal("active", await StandingAsync());
        Assert.False(await HeldAsync());
        var changes = page.GetByRole(AriaRole.Region, new() { Name = "What was changed", Exact = true }).First;
        foreach (var action in (string[])["legal hold placed", "legal hold released", "organization restored"])
            await Assertions.Expect(changes).ToContainTextAsync(action);
        Assert.Empty(Complaints);

        Task<string> StandingAsync() => Pulse.AskAsync<string>("select status from pulse.organizations where org_id = $1", org);
        Task<bool> HeldAsync() => Pulse.AskAsync<bool>("select legal_hold_at is not null from pulse.organizations where org_id = $1", org);
    }

    [Fact]
    public async Task A_billing_state_is_overridden_and_the_override_taken_back_each_after_a_confirmation()
    {
        var org = await TenantAsync();
        var page = await SignedInAsync();
        var billing = page.GetByRole(AriaRole.Region, new() { Name = "Billing" });
        await GoAsync(page, $"/console/organizations/{org}");

        await Link(page, "Override…").ClickAsync();
        await Button(page, "Override").ClickAsync();
        // The browser itself insists on a reason.
        Assert.EndsWith("/billing-override", page.Url, StringComparison.Ordinal);
        await page.GetByLabel("Reason").FillAsync("a pilot");
        await page.GetByLabel("Limits").FillAsync("seats=many");
        await Button(page, "Override").ClickAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("Choose an effect");
        await page.GetByLabel("Effect").SelectOptionAsync("pin");
        await Button(page, "Override").ClickAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("seats=5");
        await Assertions.Expect(page.GetByLabel("Reason")).ToHaveValueAsync("a pilot");
        await page.GetByLabel("Limits").FillAsync("seats=500, projects=20");
        await page.GetByLabel("Capabilities").FillAsync("api export");
        await page.GetByLabel("State").SelectOptionAsync("active");
        Assert.Equal(0L, await OverridesAsync());
        await Button(page, "Override").ClickAsync();
        await Assertions.Expect(page.GetByText("The override is in force.")).ToBeVisibleAsync();
        await Assertions.Expect(billing).ToContainTextAsync("api, export");
        await Assertions.Expect(billing).ToContainTextAsync("seats 500");
        await Assertions.Expect(billing).ToContainTextAsync("an operator's override");

        // What somebody else has changed since the page was shown is looked at again first.
        await Link(page, "Take overrides back…").ClickAsync();
        using (await Pulse.SendAsync("PUT", $"/api/admin/orgs/{org}/billing-state", """{"effect":"grant","capabilities":["more"],"reason":"meanwhile"}"""))
            await Button(page, "Take them back").ClickAsync();
        await Heading(page, "Nothing was done").ToBeVisibleAsync();
        await Link(page, "Go back").ClickAsync();
        await Link(page, "Take overrides back…").ClickAsync();
        await Button(page, "Take them back").ClickAsync();
        await Assertions.Expect(page.GetByText("The overrides are taken back.")).ToBeVisibleAsync();
        await Assertions.Expect(billing).ToContainTextAsync("the trial that every signup has");
        Assert.Equal(0L, await OverridesAsync());

        var reader = await SignedInAsync(await KeyAsync("orgs:read", "billing:read", "orgs:write"));
        await GoAsync(reader, $"/console/organizations/{org}");
        await Assertions.Expect(Link(reader, "Override…")).ToHaveCountAsync(0);
        foreach (var verb in (string[])["billing-override", "revoke-billing-override"])
            Assert.Equal(403, (await GoAsync(reader, $"/console/organizations/{org}/{verb}"))!.Status);
        Assert.Empty(Complaints);

        Task<long> OverridesAsync() => Pulse.AskAsync<long>("select count(*) from pulse.billing_overrides where org_id = $1 and revoked_at is null", org);
    }

    [Fact]
    public async Task What_was_planted_is_on_no_page_until_it_is_revealed_and_then_the_audit_log_says_who_saw_it()
    {
        var (_, letter) = await PoisonAsync(await TenantAsync());
        await Pulse.RunSqlAsync(
            "update pulse.dead_letters set exception_message = $2, stack = stack || $2 where dead_letter_id = $1", letter, $"wrong key {Planted} of ada@example.com");
        var page = await SignedInAsync();
        var group = await Pulse.AskAsync<string>("select fingerprint from pulse.dead_letters where dead_letter_id = $1", letter);

        foreach (var path in (string[])
                 [
                     "/console/dead-letters", $"/console/dead-letters/groups/{group}", "/console/dead-letters/messages", $"/console/dead-letters/messages?id={letter}", $"/console/dead-letters/messages/{letter}",
                     $"/console/dead-letters/messages/{letter}/reveal", "/console/replays", "/console/audit", "/console/health",
                 ])
        {
            await GoAsync(page, path);
            var content = await page.ContentAsync();
            Assert.DoesNotContain(Planted, content, StringComparison.OrdinalIgnoreCase);
            Assert.DoesNotContain("ada@example", content, StringComparison.OrdinalIgnoreCase);
        }

        await GoAsync(page, $"/console/dead-letters/messages/{letter}");
        await Link(page, "Reveal…").ClickAsync();
        Assert.Equal(0L, await LooksAsync(letter));
        await Button(page, "Reveal").ClickAsync();
        await Heading(page, "SuspendOrganization, unmasked").ToBeVisibleAsync();
        foreach (var region in (string[])["Payload", "Headers", "Exception"])
            await Assertions.Expect(page.GetByRole(AriaRole.Region, new() { Name = region, Exact = true }).First).ToContainTextAsync(Planted);
        Assert.Equal(1L, await LooksAsync(letter));

        await Link(page, "Audit").ClickAsync();
        await Assertions.Expect(page.Locator("main")).ToContainTextAsync("dead letter revealed");
        Assert.DoesNotContain(Planted, await page.ContentAsync(), StringComparison.Ordinal);
        Assert.Empty(Complaints);
    }

    Task<long> LooksAsync(Guid letter) =>
        Pulse.AskAsync<long>("select count(*) from pulse.audit_log where action = 'dead_letter_revealed' and after::text like '%' || $1 || '%'", letter.ToString());
}
