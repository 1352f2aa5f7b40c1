using System.Net;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Pulse.Contracts.Keys;
using Pulse.Tests.DeadLetters;

namespace Pulse.Tests.Console;

/// <summary>What forms of the console may do, and who.</summary>
public sealed class FormTests(TestPostgres postgres) : ConsoleTests(postgres)
{
    static readonly string[] Everything = [.. Scopes.All];

    [Fact]
    public async Task A_form_without_a_token_of_this_session_does_nothing()
    {
        var org = await TenantAsync();
        var letter = await new StoredLetter().StoreAsync(Postgres);
        using var browser = await SignedInAsync(Everything);
        using var stranger = await SignedInAsync(Everything);
        var foreign = Token(await stranger.PageAsync("/console/health"));

        foreach (var path in (string[])
                 [
                     "/console/sign-out", $"/console/organizations/{org}/suspend", $"/console/organizations/{org}/soft-delete", "/console/replays", "/console/dead-letters/discard",
                     $"/console/dead-letters/messages/{letter.Id}/reveal", $"/console/dead-letters/messages/{letter.Id}/edit", $"/console/replays/{letter.Id}/start", $"/console/replays/{letter.Id}/cancel",
                 ])
        {
            foreach (var token in (string[])["", "nonsense", foreign])
            {
                using var answer = await browser.SendAsync(HttpMethod.Post, path, [new("form_token", token), new("take", "all")]);
                Assert.True(answer.StatusCode == HttpStatusCode.Forbidden, $"{path}: {(int)answer.StatusCode}");
            }

            using var bare = await browser.SendAsync(HttpMethod.Post, path, []);
            Assert.Equal(HttpStatusCode.Forbidden, bare.StatusCode);
            // With the right token, but from another site.
            using var cross = await browser.SendAsync(HttpMethod.Post, path, [new("form_token", Token(await browser.PageAsync("/console/health")))], ("Sec-Fetch-Site", "same-site"));
            Assert.Equal(HttpStatusCode.Forbidden, cross.StatusCode);
        }

        Assert.Equal(0L, await Postgres.AskAsync<long>("select count(*) from pulse.operations"));
        await browser.PageAsync("/console/health");
    }

    [Fact]
    public async Task What_a_key_may_not_do_is_neither_offered_nor_done()
    {
        var org = await TenantAsync();
        var letter = await new StoredLetter().StoreAsync(Postgres);
        using var reader = await SignedInAsync(Scopes.OrgsRead, Scopes.DeadLettersRead);

        Assert.DoesNotContain("/suspend", await reader.PageAsync($"/console/organizations/{org}"), StringComparison.Ordinal);
        var page = await reader.PageAsync($"/console/dead-letters/messages/{letter.Id}");
        Assert.DoesNotContain("/reveal", page, StringComparison.Ordinal);
        Assert.DoesNotContain("/console/replays\"><input", page, StringComparison.Ordinal);
        Assert.DoesNotContain("type=\"checkbox\"", await reader.PageAsync("/console/dead-letters/messages"), StringComparison.Ordinal);
        Assert.DoesNotContain("href=\"/console/audit\"", page, StringComparison.Ordinal);

        foreach (var path in (string[])["/console/audit", $"/console/organizations/{org}/suspend", $"/console/dead-letters/messages/{letter.Id}/reveal"])
        {
            using var seen = await reader.GetAsync(path);
            Assert.True(seen.StatusCode == HttpStatusCode.Forbidden, path);
        }

        foreach (var path in (string[])["/console/replays", "/console/dead-letters/discard", $"/console/organizations/{org}/suspend", $"/console/dead-letters/messages/{letter.Id}/reveal", $"/console/replays/{letter.Id}/start"])
        {
            using var done = await reader.PostAsync(path, page, ("take", "all"));
            Assert.True(done.StatusCode == HttpStatusCode.Forbidden, path);
        }

        using var nobody = await SignedInAsync(Scopes.EntitlementsRead);
        Assert.DoesNotContain("/console/dead-letters\"", await nobody.PageAsync("/console/health"), StringComparison.Ordinal);
        Assert.Equal(0L, await Postgres.AskAsync<long>("select count(*) from pulse.operations where org_id = $1", org));
    }

    [Fact]
    public async Task Every_action_there_is_needs_its_scope_and_a_token()
    {
        var org = await TenantAsync();
        var letter = await new StoredLetter().StoreAsync(Postgres);
        var routes = Ingress.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()
            .SelectMany(endpoint => endpoint.Metadata.GetMetadata<IHttpMethodMetadata>()?.HttpMethods.Select(method => (Method: method, Path: endpoint.RoutePattern.RawText!)) ?? [])
            .Where(route => route.Path.StartsWith("/console/", StringComparison.Ordinal)).ToList();
        var actions = routes.Where(route => route.Method == "POST").Select(route => route.Path).Where(path => path is not ("/console/sign-in" or "/console/sign-out")).ToList();
        Assert.Equal(18, actions.Count);
        using var all = await SignedInAsync(Everything);
        var page = await all.PageAsync("/console/health");

        foreach (var path in actions)
        {
            foreach (var scope in ScopesOf(path))
            {
                using var browser = await SignedInAsync([.. Everything.Where(one => one != scope)]);
                using var done = await browser.PostAsync(Fill(path), await browser.PageAsync("/console/health"), Said);
                Assert.True(done.StatusCode == HttpStatusCode.Forbidden, $"{path} without {scope}: {(int)done.StatusCode}");
                Assert.Contains(scope, await done.Content.ReadAsStringAsync(), StringComparison.Ordinal);
                if (!routes.Contains(("GET", path)) || path == "/console/replays" || (path.EndsWith("/edit", StringComparison.Ordinal) && scope == Scopes.DeadLettersWrite))
                    continue;
                using var asked = await browser.GetAsync(Fill(path));
                Assert.True(asked.StatusCode == HttpStatusCode.Forbidden, $"GET {path} without {scope}: {(int)asked.StatusCode}");
            }

            using var forged = await all.SendAsync(HttpMethod.Post, Fill(path), Said.Select(field => KeyValuePair.Create(field.Item1, field.Item2)));
            Assert.True(forged.StatusCode == HttpStatusCode.Forbidden, $"{path} without a token: {(int)forged.StatusCode}");
        }

        // To ask is not to do, and what is done to many is asked first whatever came with it.
        foreach (var verb in (string[])["suspend", "unsuspend", "soft-delete", "restore", "legal-hold", "release-legal-hold", "billing-override", "revoke-billing-override"])
            await all.PageAsync($"/console/organizations/{org}/{verb}");
        foreach (var path in (string[])["/console/dead-letters/discard", "/console/dead-letters/restore"])
        {
            using var asked = await all.PostAsync(path, page, ("take", "ticked"), ("letter", letter.Id.ToString()), ("reason", "why"));
            Assert.Equal(HttpStatusCode.OK, asked.StatusCode);
            Assert.Contains("You are about to", await asked.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }

        Assert.Equal(0L, await Postgres.AskAsync<long>("select count(*) from pulse.operations"));

        string Fill(string path) => path.Replace("{org_id}", org.ToString(), StringComparison.Ordinal).Replace("{id}", letter.Id.ToString(), StringComparison.Ordinal);
    }

    static readonly (string, string)[] Said =
        [("take", "all"), ("confirmed", "yes"), ("reason", "why"), ("retention_days", "30"), ("effect", "deny"), ("message", "{}"), ("canary", "1"), ("operation_key", "a-key-of-a-form")];

    static string[] ScopesOf(string path) =>
        path.EndsWith("billing-override", StringComparison.Ordinal) ? [Scopes.BillingWrite]
        : path.StartsWith("/console/organizations/", StringComparison.Ordinal) ? [Scopes.OrgsWrite]
        : path.EndsWith("/reveal", StringComparison.Ordinal) ? [Scopes.DeadLettersReveal]
        : path.EndsWith("/edit", StringComparison.Ordinal) ? [Scopes.DeadLettersReveal, Scopes.DeadLettersWrite]
        : [Scopes.DeadLettersWrite];

    [Fact]
    public async Task A_verb_goes_the_way_of_the_api_and_a_form_that_is_sent_twice_is_one_operation()
    {
        var org = await TenantAsync();
        using var browser = await SignedInAsync(Everything);
        var page = await browser.PageAsync($"/console/organizations/{org}/suspend");
        var key = System.Text.RegularExpressions.Regex.Match(page, "name=\"operation_key\" value=\"([^\"]+)\"").Groups[1].Value;

        var sent = new[] { browser.PostAsync($"/console/organizations/{org}/suspend", page, ("operation_key", key), ("reason", "unpaid")), browser.PostAsync($"/console/organizations/{org}/suspend", page, ("operation_key", key), ("reason", "unpaid")) };
        var operation = await PendingAsync(org);
        Assert.Equal(("lifecycle.suspend", """{"reason": "unpaid"}"""), (
            await Postgres.AskAsync<string>("select kind from pulse.operations where operation_id = $1", operation),
            await Postgres.AskAsync<string>("select request::text from pulse.operations where operation_id = $1", operation)));
        await SucceedAsync(operation, """{"status":"suspended"}""");
        foreach (var answer in await Task.WhenAll(sent))
            Assert.Equal((HttpStatusCode.SeeOther, $"/console/organizations/{org}?done=suspend"), (answer.StatusCode, answer.Headers.Location?.ToString()));
        Assert.Equal(1L, await Postgres.AskAsync<long>("select count(*) from pulse.operations where org_id = $1", org));

        var refused = browser.PostAsync($"/console/organizations/{org}/restore", page, ("operation_key", Some.Key));
        await RefuseAsync(await PendingAsync(org), 409, "not_pending_deletion", "The organization is not deleted.");
        using var shown = await refused;
        Assert.Equal(HttpStatusCode.Conflict, shown.StatusCode);
        Assert.Contains("The organization is not deleted.", await shown.Content.ReadAsStringAsync(), StringComparison.Ordinal);

        using var invalid = await browser.PostAsync($"/console/organizations/{org}/soft-delete", page, ("retention_days", "many"));
        Assert.Equal(HttpStatusCode.BadRequest, invalid.StatusCode);
        Assert.Contains("retention_days is a whole number", await invalid.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_others_wrote_is_text_on_every_page()
    {
        const string evil = "<script>alert('x')</script>";
        var org = await TenantAsync(Some.Signup with { OrgName = "\"><img src=x onerror=alert(1)>" });
        var letter = await new StoredLetter { Queue = evil, ExceptionMessage = evil, Fingerprint = "evil<b>", Headers = new Dictionary<string, string> { [evil] = evil } }.StoreAsync(Postgres);
        await Postgres.RunAsync("update pulse.organizations set suspend_reason = $2 where org_id = $1", org, evil);
        using var browser = await SignedInAsync(Everything);

        foreach (var path in (string[])
                 [
                     "/console/organizations", $"/console/organizations/{org}", $"/console/organizations/{org}/suspend", "/console/health", "/console/dead-letters", "/console/dead-letters/messages",
                     $"/console/dead-letters/messages/{letter.Id}", "/console/dead-letters/groups/evil%3Cb%3E", "/console/organizations?q=%22%3E%3Cscript%3E", "/console/dead-letters/messages?q=%3Cscript%3E&type=%22%3E",
                 ])
        {
            // What would be masked is not looked for, and the page that says so repeats it.
            using var answer = await browser.GetAsync(path);
            Assert.Equal(path.Contains("type=", StringComparison.Ordinal) ? HttpStatusCode.BadRequest : HttpStatusCode.OK, answer.StatusCode);
            var page = await answer.Content.ReadAsStringAsync();
            Assert.DoesNotContain("<script>", page, StringComparison.Ordinal);
            Assert.DoesNotContain("<img", page, StringComparison.Ordinal);
            Assert.DoesNotContain("<b>", page, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Nonsense_in_an_address_or_a_form_makes_no_error_of_ours()
    {
        using var browser = await SignedInAsync(Everything);
        var page = await browser.PageAsync("/console/health");
        foreach (var path in (string[])
                 [
                     "/console/organizations/x", "/console/replays/x", "/console/dead-letters/messages/x", "/console/dead-letters/groups/x", "/console/audit?cursor=x",
                     "/console/organizations?limit=x", "/console/dead-letters?status=x", "/console/replays?status=x", "/console/replays/x/progress", "/console/organizations/default/suspend",
                 ])
        {
            using var answer = await browser.GetAsync(path);
            Assert.True((int)answer.StatusCode is >= 400 and < 500, $"{path}: {(int)answer.StatusCode}");
            Assert.Equal(path.EndsWith("progress", StringComparison.Ordinal) ? "application/problem+json" : "text/html", answer.Content.Headers.ContentType?.MediaType);
        }

        foreach (var (path, field, value) in ((string, string, string)[])
                 [
                     ("/console/replays", "take", "ticked"), ("/console/replays", "letter", "x"), ("/console/dead-letters/discard", "take", "ticked"), ("/console/replays", "filter_status", "x"),
                     ("/console/organizations/x/suspend", "reason", "x"), ("/console/replays/x/start", "canary", "x"), ("/console/organizations/default/suspend", "reason", "x"),
                 ])
        {
            using var answer = await browser.PostAsync(path, page, (field, value), ("take", "ticked"));
            Assert.True((int)answer.StatusCode is >= 400 and < 500, $"{path}: {(int)answer.StatusCode}");
        }

        Assert.Equal(0L, await Postgres.AskAsync<long>("select count(*) from pulse.operations"));
    }
}
