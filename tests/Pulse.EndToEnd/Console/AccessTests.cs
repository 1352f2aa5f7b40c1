using System.Text.RegularExpressions;
using Microsoft.Playwright;
using Pulse.EndToEnd.Processes;
using Pulse.Testing;

namespace Pulse.EndToEnd.Console;

/// <summary>Who gets in, and how: with which key, by the keyboard alone, without scripts.</summary>
public sealed class AccessTests(RunningPulse pulse, Chromium chromium) : BrowserTests(pulse, chromium)
{
    [Fact]
    public async Task A_wrong_key_is_told_so_and_a_right_one_gets_to_the_page_that_was_asked_for()
    {
        var page = await NewPageAsync();
        await GoAsync(page, "/console/audit");
        await page.GetByLabel("Admin key").FillAsync("pulse_wrong");
        await Button(page, "Sign in").ClickAsync();
        await Assertions.Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("This key is not valid");

        await page.GetByLabel("Admin key").FillAsync(Pulse["PULSE_ADMIN_KEY"]);
        await Button(page, "Sign in").ClickAsync();
        await Heading(page, "Audit").ToBeVisibleAsync();
        await Button(page, "Sign out").ClickAsync();
        await Heading(page, "Sign in").ToBeVisibleAsync();
        await GoAsync(page, "/console/audit");
        await Heading(page, "Sign in").ToBeVisibleAsync();
        Assert.Empty(Complaints);
    }

    [Fact]
    public async Task A_key_sees_and_does_what_its_scopes_allow_and_nothing_once_it_is_revoked()
    {
        var (org, key) = (await TenantAsync(), await KeyAsync("orgs:read"));
        var page = await SignedInAsync(key);

        await Assertions.Expect(page.GetByRole(AriaRole.Navigation, new() { Name = "Main" })).ToHaveTextAsync("HealthOrganizations");
        await GoAsync(page, $"/console/organizations/{org}");
        await Assertions.Expect(page.GetByText("Suspend…")).ToHaveCountAsync(0);
        Assert.Equal(403, (await GoAsync(page, $"/console/organizations/{org}/suspend"))!.Status);
        await Assertions.Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("orgs:write");
        Assert.Equal(403, (await GoAsync(page, "/console/dead-letters"))!.Status);

        await Pulse.ScriptAsync("admin-key", "revoke", key.Split('_')[1]);
        await Eventually.Until(async () =>
        {
            await GoAsync(page, "/console/organizations");
            return page.Url.Contains("/console/sign-in", StringComparison.Ordinal);
        }, TimeSpan.FromSeconds(10), "the revoked key's session is over");
        Assert.Empty(Complaints);
    }

    [Fact]
    public async Task Everything_is_reached_by_the_keyboard_alone()
    {
        var org = await TenantAsync($"Keys {Guid.NewGuid():N}");
        var page = await NewPageAsync();
        await GoAsync(page, $"/console/organizations/{org}");
        // The field has the focus by itself, as soon as the page is there.
        await page.WaitForFunctionAsync("document.activeElement.tagName === 'INPUT'");
        await page.Keyboard.TypeAsync(Pulse["PULSE_ADMIN_KEY"]);
        await Assertions.Expect(page.GetByLabel("Admin key")).ToHaveValueAsync(Pulse["PULSE_ADMIN_KEY"]);
        await page.Keyboard.PressAsync("Enter");
        await Assertions.Expect(page).ToHaveURLAsync(new Regex($"/console/organizations/{org}$"));

        await page.Keyboard.PressAsync("Tab");
        Assert.Equal("Skip to the content", await FocusedAsync(page));
        Assert.True(await page.EvaluateAsync<bool>("document.activeElement.getBoundingClientRect().top >= 0"), "The skip link is not seen when it has the focus.");
        await page.Keyboard.PressAsync("Enter");
        Assert.Equal("main", await page.EvaluateAsync<string>("document.activeElement.id"));

        await TabToAsync(page, "Suspend…");
        Assert.NotEqual("none", await page.EvaluateAsync<string>("getComputedStyle(document.activeElement).outlineStyle"));
        await page.Keyboard.PressAsync("Enter");
        await Assertions.Expect(page).ToHaveURLAsync(new Regex("/suspend$"));
        await TabToAsync(page, "Suspend");
        await page.Keyboard.PressAsync("Enter");
        await Assertions.Expect(page.GetByText("It is suspended.")).ToBeVisibleAsync();
        await TabToAsync(page, "Sign out");
        await page.Keyboard.PressAsync("Space");
        await Heading(page, "Sign in").ToBeVisibleAsync();
        Assert.Empty(Complaints);
    }

    [Fact]
    public async Task Without_scripts_every_page_is_read_and_every_verb_done()
    {
        var org = await TenantAsync();
        var (operation, letter) = await PoisonAsync(org);
        await MendAsync(operation, org);
        var page = await SignedInAsync(script: false);
        foreach (var path in (string[])["/console/health", "/console/dead-letters", "/console/dead-letters/messages", $"/console/organizations/{org}", "/console/audit", "/console/replays"])
        {
            Assert.Equal(200, (await GoAsync(page, path))!.Status);
            await Assertions.Expect(page.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToBeVisibleAsync();
        }

        await GoAsync(page, $"/console/dead-letters/messages/{letter}");
        await Button(page, "Plan a replay").ClickAsync();
        await Button(page, "Start the replay").ClickAsync();
        // The page loads itself anew.
        await Assertions.Expect(page.GetByText("Every message was handled.")).ToBeVisibleAsync(new() { Timeout = 60_000 });
        Assert.Equal("resolved", await StatusAsync(letter));
    }

    static Task<string> FocusedAsync(IPage page) => page.EvaluateAsync<string>("document.activeElement.textContent.trim()");

    static async Task TabToAsync(IPage page, string text)
    {
        for (var press = 0; press < 80; press++)
        {
            await page.Keyboard.PressAsync("Tab");
            if (await FocusedAsync(page) == text)
                return;
        }

        Assert.Fail($"Tab never gets to '{text}'.");
    }
}
