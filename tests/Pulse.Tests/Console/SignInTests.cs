using System.Net;
using Pulse.Contracts.Keys;
using Pulse.Ingress.Console;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Console;

public sealed class SignInTests(TestPostgres postgres) : ConsoleTests(postgres)
{
    static readonly string[] Pages =
        ["/console/health", "/console/dead-letters", "/console/dead-letters/messages", "/console/replays", "/console/organizations", "/console/audit"];

    [Fact]
    public async Task A_key_opens_the_console_and_signing_out_closes_it()
    {
        using var browser = new Browser(Ingress);
        using (var sent = await browser.GetAsync("/console/audit?cursor=x"))
            Assert.Equal((HttpStatusCode.SeeOther, "/console/sign-in?next=%2Fconsole%2Faudit%3Fcursor%3Dx"), (sent.StatusCode, sent.Headers.Location?.ToString()));

        using (var entered = await browser.SignInAsync(await Postgres.KeyAsync([.. Scopes.All]), "/console/audit"))
            Assert.Equal((HttpStatusCode.SeeOther, "/console/audit"), (entered.StatusCode, entered.Headers.Location?.ToString()));
        foreach (var path in Pages)
            Assert.Contains("<h1>", await browser.PageAsync(path), StringComparison.Ordinal);

        var session = browser.Cookies["pulse-console"];
        using (var left = await browser.PostAsync("/console/sign-out", await browser.PageAsync("/console/health")))
            Assert.Equal("/console/sign-in", left.Headers.Location?.ToString());
        Assert.Empty(browser.Cookies);
        // Not only forgotten by the browser.
        browser.Cookies["pulse-console"] = session;
        using var closed = await browser.GetAsync("/console/health");
        Assert.Equal(HttpStatusCode.SeeOther, closed.StatusCode);
    }

    [Fact]
    public async Task A_form_that_was_shown_earlier_still_works_after_it_was_shown_again_in_another_tab()
    {
        using var browser = new Browser(Ingress);
        var key = await Postgres.KeyAsync([.. Scopes.All]);
        var first = await browser.PageAsync("/console/sign-in?next=/console/audit");
        var second = await browser.PageAsync("/console/sign-in?next=/console/health");
        using (var wrong = await browser.PostAsync("/console/sign-in", second, ("key", "wrong"), ("next", "/console/health")))
            Assert.Equal(HttpStatusCode.Unauthorized, wrong.StatusCode);
        using (var entered = await browser.PostAsync("/console/sign-in", first, ("key", key), ("next", "/console/audit")))
            Assert.Equal((HttpStatusCode.SeeOther, "/console/audit"), (entered.StatusCode, entered.Headers.Location?.ToString()));

        // What is no secret of ours is replaced.
        using var planted = new Browser(Ingress);
        planted.Cookies["pulse-console-guest"] = "planted";
        await planted.PageAsync("/console/sign-in");
        Assert.NotEqual("planted", planted.Cookies["pulse-console-guest"]);
    }

    [Fact]
    public async Task The_cookie_is_kept_from_scripts_and_other_sites_and_behind_tls_from_the_open_net()
    {
        var key = await Postgres.KeyAsync(Scopes.OrgsRead);
        using var open = new Browser(Ingress);
        using var tls = new Browser(Ingress, tls: true);

        using var plain = await open.SignInAsync(key);
        using var secure = await tls.SignInAsync(key);

        var cookie = plain.Headers.GetValues("Set-Cookie").Single(set => set.StartsWith("pulse-console=", StringComparison.Ordinal));
        Assert.Equal("path=/console; samesite=strict; httponly", cookie[(cookie.IndexOf("; ", StringComparison.Ordinal) + 2)..]);
        cookie = secure.Headers.GetValues("Set-Cookie").Single(set => set.StartsWith("__Secure-pulse-console=", StringComparison.Ordinal));
        Assert.Equal("path=/console; secure; samesite=strict; httponly", cookie[(cookie.IndexOf("; ", StringComparison.Ordinal) + 2)..]);
        // The database knows neither the cookie nor the key.
        Assert.DoesNotContain(open.Cookies["pulse-console"], await Postgres.AskAsync<string>("select string_agg(s::text, '') from pulse.console_sessions s"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Every_answer_has_the_headers_that_keep_a_page_to_itself()
    {
        using var browser = await SignedInAsync(Scopes.OrgsRead);
        foreach (var path in (string[])["/console/sign-in", "/console/health", "/console/nowhere", "/console/audit", "/console"])
        {
            using var answer = await browser.GetAsync(path);
            var policy = answer.Header("Content-Security-Policy")!;
            foreach (var part in (string[])["default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"])
                Assert.Contains(part, policy, StringComparison.Ordinal);
            Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
            Assert.Equal(("nosniff", "no-store", "same-origin", "DENY"), (
                answer.Header("X-Content-Type-Options"), answer.Header("Cache-Control"), answer.Header("Referrer-Policy"), answer.Header("X-Frame-Options")));
            var page = await answer.Content.ReadAsStringAsync();
            Assert.DoesNotContain(" style=", page, StringComparison.Ordinal);
            Assert.DoesNotMatch("<script(?! src=\"/console/assets/)", page);
            Assert.DoesNotMatch(@"(?:src|href)=""(?:https?:)?//", page);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("nonsense")]
    [InlineData("pulse_0000000000000000_0000000000000000000000000000000000000000000000000000000000000000")]
    public async Task A_wrong_key_opens_nothing(string key)
    {
        using var browser = new Browser(Ingress);
        using var answer = await browser.SignInAsync(key);

        Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
        Assert.Contains("role=\"alert\"", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.False(browser.Cookies.ContainsKey("pulse-console"));
    }

    [Fact]
    public async Task Ten_wrong_keys_close_the_door_for_an_address_and_a_right_one_forgets_them()
    {
        var key = await Postgres.KeyAsync(Clock, null, Scopes.OrgsRead);
        using var browser = new Browser(Ingress);
        for (var attempt = 0; attempt < SessionTable.Tries - 1; attempt++)
            (await browser.SignInAsync("wrong")).Dispose();
        (await browser.SignInAsync(key)).Dispose();
        browser.Cookies.Clear();
        for (var attempt = 0; attempt < SessionTable.Tries; attempt++)
        {
            using var wrong = await browser.SignInAsync("wrong");
            Assert.Equal(HttpStatusCode.Unauthorized, wrong.StatusCode);
        }

        using (var shut = await browser.SignInAsync(key))
            Assert.Equal((HttpStatusCode.TooManyRequests, "600"), (shut.StatusCode, shut.Header("Retry-After")));
        using (var other = new Browser(Ingress))
        using (var entered = await other.SignInAsync(key))
            Assert.Equal(HttpStatusCode.SeeOther, entered.StatusCode);

        Clock.Advance(SessionTable.Window + TimeSpan.FromSeconds(1));
        using var later = await browser.SignInAsync(key);
        Assert.Equal(HttpStatusCode.SeeOther, later.StatusCode);
    }

    [Fact]
    public async Task A_session_ends_after_eight_hours_with_its_key_and_when_the_key_is_revoked()
    {
        var (lasting, short_lived, revoked) = (await Postgres.KeyAsync(Clock, null, Scopes.OrgsRead), await Postgres.KeyAsync(Clock, TimeSpan.FromHours(1), Scopes.OrgsRead), await Postgres.KeyAsync(Clock, null, Scopes.OrgsRead));
        using var first = new Browser(Ingress);
        using var second = new Browser(Ingress);
        using var third = new Browser(Ingress);
        (await first.SignInAsync(lasting)).Dispose();
        (await second.SignInAsync(short_lived)).Dispose();
        (await third.SignInAsync(revoked)).Dispose();

        await Postgres.RunAsync("update pulse.admin_keys set revoked_at = $2 where key_id = $1", revoked.Split('_')[1], Clock.GetUtcNow().UtcDateTime);
        Clock.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal(HttpStatusCode.SeeOther, await StatusAsync(third));
        Clock.Advance(TimeSpan.FromHours(1));
        Assert.Equal(HttpStatusCode.SeeOther, await StatusAsync(second));
        Clock.Advance(TimeSpan.FromHours(7) - TimeSpan.FromSeconds(4));
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(first));
        Clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(HttpStatusCode.SeeOther, await StatusAsync(first));

        static async Task<HttpStatusCode> StatusAsync(Browser browser)
        {
            using var answer = await browser.GetAsync("/console/organizations");
            return answer.StatusCode;
        }
    }

    [Fact]
    public async Task A_link_from_elsewhere_is_followed_once_more_from_here_so_that_the_strict_cookie_comes_along()
    {
        using var browser = new Browser(Ingress);
        using var answer = await browser.GetAsync("/console/audit?cursor=a%22b", ("Sec-Fetch-Site", "cross-site"));

        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Contains("content=\"0;url=/console/audit?cursor=a%22b\"", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_hosted_mode_there_is_no_console()
    {
        await using var ingress = await StartAsync("PULSE_HOSTED_MODE=false");
        foreach (var path in (string[])["/console", "/console/sign-in", "/console/assets/console.css"])
            await (await ingress.Http.GetAsync(path)).IsProblem(404, "not_found");
    }

    [Fact]
    public async Task With_postgres_away_a_page_says_so()
    {
        using var browser = await SignedInAsync(Scopes.OrgsRead);
        await Postgres.RunAsync("alter table pulse.console_sessions rename to elsewhere");
        try
        {
            using var answer = await browser.GetAsync("/console/health");
            Assert.Equal((HttpStatusCode.ServiceUnavailable, "5"), (answer.StatusCode, answer.Header("Retry-After")));
            Assert.Contains("The database does not answer", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }
        finally
        {
            await Postgres.RunAsync("alter table pulse.elsewhere rename to console_sessions");
        }
    }

    [Fact]
    public async Task Files_of_the_console_are_kept_by_browsers_under_an_address_that_changes_with_them()
    {
        using var browser = new Browser(Ingress);
        foreach (var asset in (ConsoleAssets.Asset[])[ConsoleAssets.Style, ConsoleAssets.Script, ConsoleAssets.Icon])
        {
            using var kept = await browser.GetAsync(asset.Path);
            using var bare = await browser.GetAsync($"/console/assets/{asset.Name}");
            Assert.Equal((HttpStatusCode.OK, asset.ContentType), (kept.StatusCode, kept.Content.Headers.ContentType?.ToString()));
            Assert.Contains("immutable", kept.Header("Cache-Control"), StringComparison.Ordinal);
            Assert.Equal("no-store", bare.Header("Cache-Control"));
        }
    }
}
