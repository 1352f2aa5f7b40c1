using System.Text.Json;
using Microsoft.Playwright;
using Pulse.EndToEnd.Processes;
using Pulse.Testing;

namespace Pulse.EndToEnd.Console;

/// <summary>
/// Every page, in both schemes and at two widths: nothing runs over, nothing is too faint, everything has a name. <c>./pulse screenshots</c> keeps
/// the pictures (PULSE_SCREENSHOTS).
/// </summary>
public sealed class ScreenshotTests(RunningPulse pulse, Chromium chromium) : BrowserTests(pulse, chromium)
{
    const int Wide = 1120;
    const int Narrow = 390;
    const long BytesMost = 150 * 1024;

    static readonly string Directory = Environment.GetEnvironmentVariable("PULSE_SCREENSHOTS") is { Length: > 0 } given
        ? given
        : System.IO.Directory.CreateTempSubdirectory("pulse-screenshots-").FullName;

    [Fact]
    public async Task Every_page_is_whole_readable_and_named_in_both_schemes_and_at_both_widths()
    {
        var (org, letter, planned, running) = await SceneAsync();
        var group = await Pulse.AskAsync<string>("select fingerprint from pulse.dead_letters where dead_letter_id = $1", letter);
        (string Name, string Path, bool Dark, bool Narrow)[] kept =
        [
            ("health", "/console/health", false, false), ("dead-letters", "/console/dead-letters", false, false), ("dead-letters-narrow-dark", "/console/dead-letters", true, true),
            ("group", $"/console/dead-letters/groups/{group}", true, false), ("message", $"/console/dead-letters/messages/{letter}", false, false),
            ("reveal-narrow", $"/console/dead-letters/messages/{letter}/reveal", false, true), ("plan", $"/console/replays/{planned}", false, false),
            ("replay-dark", $"/console/replays/{running}", true, false), ("organizations-narrow", "/console/organizations", false, true), ("organization", $"/console/organizations/{org}", false, false),
            ("confirmation-dark", $"/console/organizations/{org}/soft-delete", true, false), ("audit", "/console/audit", false, false), ("nothing-found-dark", "/console/dead-letters/messages?q=nothing", true, false),
            ("messages-narrow", "/console/dead-letters/messages", false, true), ("override-narrow-dark", $"/console/organizations/{org}/billing-override", true, true),
            ("not-found", "/console/nowhere", false, false), ("refused-narrow", "/console/dead-letters/messages?q=xyzzy", false, true),
        ];
        var wrong = new List<string>();
        var reader = await KeyAsync("orgs:read");
        foreach (var dark in (bool[])[false, true])
        {
            foreach (var width in (int[])[Wide, Narrow])
            {
                var guest = await NewPageAsync(dark: dark, width: width, height: 800);
                await GoAsync(guest, "/console/sign-in");
                wrong.AddRange(await FaultsAsync(guest, $"sign-in dark {dark} {width}"));
                if (!dark && width == Wide)
                    await ShootAsync(guest, "sign-in");

                var page = await SignedInAsync(dark: dark, width: width, height: 800);
                foreach (var path in kept.Select(one => one.Path).Distinct())
                {
                    await GoAsync(page, path);
                    wrong.AddRange(await FaultsAsync(page, $"{path} dark {dark} {width}"));
                    if (kept.FirstOrDefault(one => one.Path == path && one.Dark == dark && one.Narrow == (width == Narrow)) is { Name: { } name })
                        await ShootAsync(page, name);
                }

                wrong.AddRange(await UnaddressedAsync(page, guest, org, letter, reader, dark, width));
                await page.Context.CloseAsync();
                await guest.Context.CloseAsync();
            }
        }

        Assert.Empty(wrong);
        Assert.Empty(Complaints);
        Assert.All(System.IO.Directory.GetFiles(Directory, "*.png"), file => Assert.True(new FileInfo(file).Length <= BytesMost, $"{file} is larger than {BytesMost} bytes."));
    }

    // Pages that no address alone leads to: an edit's form, what a key may not, what an organization's standing does not allow, and a database that is away.
    async Task<IEnumerable<string>> UnaddressedAsync(IPage page, IPage guest, Guid org, Guid letter, string reader, bool dark, int width)
    {
        var wrong = new List<string>();
        await GoAsync(page, $"/console/dead-letters/messages/{letter}/edit");
        await Button(page, "Show and edit").ClickAsync();
        // As somebody leaves it who is about to send it. What was planted is no sight for a picture.
        await page.GetByLabel("The message as it shall be (JSON)").FillAsync($$"""
            {
              "operationId": "{{letter}}",
              "orgId": "{{org}}",
              "acceptedAt": "2026-11-21T12:00:00Z"
            }
            """);
        await page.GetByLabel("Reason").FillAsync("the operation's id was mistyped");
        await SeeAsync(page, "Edit a copy of the message", "edit", !dark && width == Wide);

        await GoAsync(page, $"/console/organizations/{org}/restore");
        await Button(page, "Restore").ClickAsync();
        await SeeAsync(page, "Nothing was done", "conflict-dark", dark && width == Wide);

        await guest.GetByLabel("Admin key").FillAsync(reader);
        await Button(guest, "Sign in").ClickAsync();
        await Heading(guest, "Health").ToBeVisibleAsync();
        await GoAsync(guest, "/console/audit");
        await SeeAsync(guest, "Your key may not do this", "forbidden-narrow-dark", dark && width == Narrow);

        await Pulse.RunSqlAsync("alter table pulse.console_sessions rename to elsewhere");
        try
        {
            await GoAsync(guest, "/console/health");
            await SeeAsync(guest, "The database does not answer", "unavailable", !dark && width == Wide);
        }
        finally
        {
            await Pulse.RunSqlAsync("alter table pulse.elsewhere rename to console_sessions");
        }

        return wrong;

        async Task SeeAsync(IPage of, string heading, string name, bool kept)
        {
            await Heading(of, heading).ToBeVisibleAsync();
            wrong.AddRange(await FaultsAsync(of, $"{heading} dark {dark} {width}"));
            if (kept)
                await ShootAsync(of, name);
        }
    }

    // As much of the page as a small file holds.
    static async Task ShootAsync(IPage page, string name)
    {
        var whole = await page.EvaluateAsync<int>("document.documentElement.scrollHeight");
        foreach (var height in (int[])[960, 840, 720, 600])
        {
            var picture = Png.Smaller(await page.ScreenshotAsync(new PageScreenshotOptions
            {
                FullPage = true,
                Clip = new Clip { X = 0, Y = 0, Width = page.ViewportSize!.Width, Height = Math.Min(height, whole) },
                Animations = ScreenshotAnimations.Disabled,
            }));
            await File.WriteAllBytesAsync(Path.Combine(Directory, name + ".png"), picture);
            if (picture.Length <= BytesMost)
                break;
        }
    }

    // As the page is laid out: what can't be seen in its source.
    static async Task<IEnumerable<string>> FaultsAsync(IPage page, string where) => (await page.EvaluateAsync<string[]>("""
        () => {
          const faults = [];
          const shown = element => { const box = element.getBoundingClientRect(); return box.width > 1 && box.height > 1 && !element.closest('.hidden, .skip, noscript'); };
          if (document.documentElement.scrollWidth > window.innerWidth) faults.push('the page is wider than the window');
          if (document.querySelectorAll('h1').length !== 1) faults.push('not one h1');
          for (const role of ['header', 'main', 'footer']) if (!document.querySelector(`body > ${role}`)) faults.push(`no ${role}`);
          const ids = [...document.querySelectorAll('[id]')].map(element => element.id);
          for (const id of ids.filter((id, at) => ids.indexOf(id) !== at)) faults.push(`id ${id} twice`);
          for (const field of document.querySelectorAll('input:not([type=hidden]), select, textarea'))
            if (!field.labels?.length && !field.getAttribute('aria-label')) faults.push(`${field.name} has no label`);
          for (const named of document.querySelectorAll('section, [role=region], [role=group], nav'))
            if (!named.getAttribute('aria-label') && !document.getElementById(named.getAttribute('aria-labelledby'))) faults.push(`${named.tagName} has no name`);
          for (const table of document.querySelectorAll('table')) if (!table.caption || !table.querySelector('th[scope=col]')) faults.push('a table without caption or headers');
          for (const link of document.querySelectorAll('a, button')) if (!link.textContent.trim()) faults.push(`an empty ${link.tagName}`);
          for (const box of document.querySelectorAll('main section, main .badge, main .button, main button, main h1, header a, header button')) {
            const place = box.getBoundingClientRect();
            if (shown(box) && !box.closest('.scroll, pre') && (place.right > window.innerWidth + 1 || place.left < -1)) faults.push(`cut: ${box.textContent.trim().slice(0, 40)}`);
          }

          // The contrast of every text with the ground below it.
          const parts = colour => colour.match(/[\d.]+/g).map(Number);
          const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
          const ground = element => { for (let at = element; at; at = at.parentElement) { const colour = parts(getComputedStyle(at).backgroundColor); if (colour.length < 4 || colour[3] > 0) return colour; } return [255, 255, 255]; };
          const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          const seen = new Set();
          while (walker.nextNode()) {
            const element = walker.currentNode.parentElement;
            if (!walker.currentNode.textContent.trim() || !shown(element) || seen.has(element) || element.closest('progress, option')) continue;
            seen.add(element);
            const [one, other] = [light(parts(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => b - a);
            const ratio = (one + 0.05) / (other + 0.05);
            if (ratio < 4.5) faults.push(`contrast ${ratio.toFixed(2)}: ${element.textContent.trim().slice(0, 40)}`);
          }
          // What a field or a button is seen by, and what says where the focus is.
          for (const box of document.querySelectorAll('input:not([type=hidden], [type=checkbox]), select, textarea, button, .button')) {
            if (!shown(box)) continue;
            const [one, other] = [light(parts(getComputedStyle(box).borderTopColor)), light(ground(box.parentElement))].sort((a, b) => b - a);
            if ((one + 0.05) / (other + 0.05) < 3) faults.push(`a faint edge: ${box.name || box.textContent.trim()}`);
          }
          const probe = document.createElement('i');
          probe.style.color = 'var(--focus)';
          document.querySelector('main').append(probe);
          const [ring, around] = [light(parts(getComputedStyle(probe).color)), light(ground(probe))].sort((a, b) => b - a);
          probe.remove();
          if ((ring + 0.05) / (around + 0.05) < 3) faults.push('a faint focus ring');
          return [...new Set(faults)];
        }
        """)).Select(fault => $"{where}: {fault}");

    /// <summary>Something to look at: an organization with a history, letters of several kinds, a plan with a preview, and a replay that runs.</summary>
    async Task<(Guid Org, Guid Letter, Guid Planned, Guid Running)> SceneAsync()
    {
        var org = await TenantAsync("Analytical Engines");
        foreach (var name in (string[])["Ångström Optics", "Difference & Sons", "Example GmbH & Co. KG with a name that is rather long"])
            await TenantAsync(name);
        using (await Pulse.SendAsync("PUT", $"/api/admin/orgs/{org}/billing-state", """{"effect":"grant","capabilities":["api","export"],"reason":"pilot until spring"}"""))
        using (await Pulse.SendAsync("POST", $"/api/admin/orgs/{org}/legal-hold", """{"reason":"a court asks"}"""))
        {
        }

        var letters = new List<Guid>();
        for (var number = 0; number < 5; number++)
        {
            var (operation, letter) = await PoisonAsync(org);
            letters.Add(letter);
            if (number > 0)
                await MendAsync(operation, org);
        }

        await Pulse.RunSqlAsync("""
            update pulse.dead_letters set exception_message = 'There is no operation ' || message_id || ', asked for by ada@example.com' where dead_letter_id = $1
            """, letters[0]);
        await OthersAsync(org);
        using (await Pulse.SendAsync("POST", "/api/admin/dead-letters/discard", $$"""{"ids":["{{letters[4]}}"],"reason":"of a test account"}"""))
        {
        }

        var planned = await PlanAsync(letters[..2]);
        using (await Pulse.SendAsync("POST", $"/api/admin/replays/{planned}/preview", "{}"))
        {
        }

        var running = await PlanAsync(letters[2..4]);
        using (await Pulse.SendAsync("POST", $"/api/admin/replays/{running}/start", """{"rate_per_second":0.001,"canary":0}"""))
        {
        }

        return (org, letters[0], planned, running);
    }

    async Task<Guid> PlanAsync(IEnumerable<Guid> letters)
    {
        using var answer = await Pulse.SendAsync("POST", "/api/admin/replays", JsonSerializer.Serialize(new { ids = letters }));
        return JsonSerializer.Deserialize<JsonElement>(await answer.Content.ReadAsByteArrayAsync()).GetProperty("replay_id").GetGuid();
    }

    // Letters of other kinds, as the collector stores them.
    Task<int> OthersAsync(Guid org) => Pulse.RunSqlAsync("""
        with kinds (kind, queue, type, exception, message, reason, status, letters) as (values
            (1, 'billing-sync', 'Pulse.Contracts.Billing:SyncStripeCustomer', 'Pulse.Worker.Billing.UnknownPriceException', 'The price price_1QpGrow is unknown to the plans file.', 'fault', 'parked', 9),
            (2, 'stripe-events', 'Pulse.Contracts.Billing:StripeEventReceived', 'Npgsql.PostgresException', '40P01: deadlock detected', 'fault', 'failed_again', 2),
            (3, 'provisioning', 'Pulse.Contracts.Signups:SignupRequested', 'System.TimeoutException', 'The operation has timed out.', 'fault', 'quarantined', 1),
            (4, 'entitlements-changed', 'Pulse.Contracts.Billing:EntitlementsChanged', null, null, 'delivery_limit', 'resolved', 4)),
        stored as (
            insert into pulse.dead_letters (dead_letter_id, queue, message_id, reason, is_envelope, message_type, exception_type, exception_message, stack, fingerprint, org_id, content_type,
                headers, body, body_bytes, status, first_failed_at, last_failed_at, changed_at, collected_at)
            select gen_random_uuid(), queue, gen_random_uuid(), reason, true, type, exception, message, '   at Pulse.Worker.Billing.CustomerSync.Run()', md5(kind::text), $1,
                'application/vnd.masstransit+json', '{}', '{}', 2, status, now() - kind * interval '3 hours' - n * interval '7 minutes', now() - kind * interval '31 minutes' - n * interval '4 minutes', now(), now()
            from kinds, generate_series(1, letters) n
            returning dead_letter_id, fingerprint, exception_type, message_type, reason, stack, first_failed_at, last_failed_at)
        insert into pulse.dead_letter_groups (fingerprint, exception_type, message_type, reason, stack, first_failed_at, last_failed_at, sample_id)
        select distinct on (fingerprint) fingerprint, exception_type, message_type, reason, stack, first_failed_at, last_failed_at, dead_letter_id from stored order by fingerprint, last_failed_at desc
        on conflict do nothing
        """, org);
}
