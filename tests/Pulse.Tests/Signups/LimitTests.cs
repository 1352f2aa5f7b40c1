using System.Globalization;

namespace Pulse.Tests.Signups;

public sealed class LimitTests(TestPostgres postgres) : IngressTests(postgres)
{
    [Theory]
    [InlineData(null)]
    [InlineData("correct horse battery")]
    public async Task A_sixth_signup_in_an_hour_from_one_address_is_refused(string? password)
    {
        var client = Some.Client;
        for (var left = 4; left >= 0; left--)
        {
            var answer = await Ingress.SignupAsync(Some.Signup with { Password = password }, client);
            await answer.SignupId();
            Assert.Equal("\"signup\";q=5;w=3600", answer.Header("RateLimit-Policy"));
            Assert.Equal($"\"signup\";r={left};t={3600 - (4 - left)}", answer.Header("RateLimit"));
            Clock.Advance(TimeSpan.FromSeconds(1));
        }

        var refused = await Ingress.SignupAsync(Some.Signup with { Password = password }, client);

        await refused.IsProblem(429, "rate_limited");
        Assert.Equal("3595", refused.Header("Retry-After"));
        Assert.Equal("\"signup\";r=0;t=3595", refused.Header("RateLimit"));
        Assert.Equal("\"signup\";q=5;w=3600", refused.Header("RateLimit-Policy"));
        await (await Ingress.SignupAsync(Some.Signup)).SignupId();
    }

    [Fact]
    public async Task The_window_slides_and_a_refused_attempt_does_not_prolong_it()
    {
        var client = Some.Client;
        await Accepted(client, 2);
        Clock.Advance(TimeSpan.FromMinutes(30));
        await Accepted(client, 3);
        Clock.Advance(TimeSpan.FromMinutes(20));
        var refused = await Ingress.SignupAsync(Some.Signup, client);
        await refused.IsProblem(429, "rate_limited");

        // A second early is too early; the time that was named is not.
        var wait = int.Parse(refused.Header("Retry-After")!, CultureInfo.InvariantCulture);
        Assert.Equal(600, wait);
        Clock.Advance(TimeSpan.FromSeconds(wait - 1));
        await (await Ingress.SignupAsync(Some.Signup, client)).IsProblem(429, "rate_limited");
        Clock.Advance(TimeSpan.FromSeconds(1));
        await Accepted(client, 2);
        await (await Ingress.SignupAsync(Some.Signup, client)).IsProblem(429, "rate_limited");
    }

    [Fact]
    public async Task Scenario_14_restarting_the_process_clears_no_limit()
    {
        var client = Some.Client;
        await Accepted(client, 5);
        await using var restarted = await StartAsync();

        await (await restarted.SignupAsync(Some.Signup, client)).IsProblem(429, "rate_limited");
    }

    [Fact]
    public async Task Concurrent_signups_from_one_address_do_not_slip_through()
    {
        var client = Some.Client;
        await using var replica = await StartAsync();

        var answers = await Task.WhenAll(Enumerable.Range(0, 24).Select(i => (i % 2 == 0 ? Ingress : replica).SignupAsync(Some.Signup, client)));

        Assert.Equal(5, answers.Count(answer => (int)answer.StatusCode == 202));
        Assert.Equal(19, answers.Count(answer => (int)answer.StatusCode == 429));
    }

    [Fact]
    public async Task Invalid_requests_do_not_count()
    {
        var client = Some.Client;
        for (var i = 0; i < 8; i++)
            await (await Ingress.SignupAsync(Some.Signup with { Email = "nobody" }, client)).IsProblem(400, "invalid_email");

        await Accepted(client, 5);
    }

    [Fact]
    public async Task A_fourth_signup_in_an_hour_for_one_email_is_answered_alike_and_has_no_effect()
    {
        var email = Some.Email;
        var ids = new List<Guid>();
        foreach (var spelling in (string[])[email, email.ToUpperInvariant(), $" {email}", email, email])
            ids.Add(await (await Ingress.SignupAsync(Some.Signup with { Email = spelling, Password = Some.Password }, key: Some.Key)).SignupId());

        const string ofEffect = "select count(*) from pulse.signups where signup_id = $1 and status = 'accepted' and email_normalized = $2";
        Assert.Equal([1, 1, 1, 0, 0], await Ask(ofEffect, email));
        const string published = "select count(*) from messaging.outbox where convert_from(body, 'UTF8') like '%' || $1::text || '%' and $2 <> ''";
        Assert.Equal([1, 1, 1, 0, 0], await Ask(published, email));
        const string withoutTrace = """
            select count(*) from pulse.signups
            where signup_id = $1 and $2 <> '' and status = 'existing' and email is null and email_normalized is null and org_name is null and password_hash is null
            """;
        Assert.Equal([0, 0, 0, 1, 1], await Ask(withoutTrace, email));

        var status = await (await Ingress.Http.GetAsync($"/api/public/signup/{ids[4]}")).Json();
        Assert.Equal("existing", status.GetProperty("status").GetString());
        Assert.False(status.TryGetProperty("org_id", out _));

        Clock.Advance(TimeSpan.FromHours(1));
        ids = [await (await Ingress.SignupAsync(Some.Signup with { Email = email })).SignupId()];
        Assert.Equal([1], await Ask(ofEffect, email));

        async Task<List<long>> Ask(string sql, string about)
        {
            var answers = new List<long>();
            foreach (var id in ids)
                answers.Add(await Postgres.AskAsync<long>(sql, id, about));

            return answers;
        }
    }

    [Fact]
    public async Task A_refused_address_takes_nothing_from_an_emails_limit()
    {
        var (client, email) = (Some.Client, Some.Email);
        await Accepted(client, 5);
        for (var i = 0; i < 4; i++)
            await (await Ingress.SignupAsync(Some.Signup with { Email = email }, client)).IsProblem(429, "rate_limited");

        for (var i = 0; i < 3; i++)
            await (await Ingress.SignupAsync(Some.Signup with { Email = email })).SignupId();

        Assert.Equal(3L, await Postgres.AskAsync<long>("select count(*) from pulse.signups where email = $1", email));
    }

    [Fact]
    public async Task A_clock_that_was_moved_and_put_back_locks_nobody_out()
    {
        var client = Some.Client;
        Clock.Advance(TimeSpan.FromDays(30));
        await Accepted(client, 5);
        Clock.Advance(TimeSpan.FromDays(-30));

        await Accepted(client, 5);
    }

    async Task Accepted(string client, int times)
    {
        for (var i = 0; i < times; i++)
            await (await Ingress.SignupAsync(Some.Signup, client)).SignupId();
    }
}
