namespace Pulse.Tests.Signups;

public sealed class IdempotencyTests(TestPostgres postgres) : IngressTests(postgres)
{
    [Theory]
    [InlineData(null)]
    [InlineData("correct horse battery")]
    public async Task The_same_key_and_body_get_the_first_answer_again(string? password)
    {
        var (body, key) = (Some.Signup with { Password = password }, Some.Key);
        var first = await Ingress.SignupAsync(body, key: key);
        Clock.Advance(TimeSpan.FromHours(3));
        await using var restarted = await StartAsync();

        var again = await restarted.SignupAsync(body, key: key);

        Assert.Equal(202, (int)again.StatusCode);
        Assert.Equal(await first.Content.ReadAsByteArrayAsync(), await again.Content.ReadAsByteArrayAsync());
        Assert.Equal(first.Header("Location"), again.Header("Location"));
        Assert.Equal(first.Header("Retry-After"), again.Header("Retry-After"));
        Assert.Equal(first.Content.Headers.ContentType, again.Content.Headers.ContentType);
        Assert.Equal(1L, await SignupsOf(body.Email!));
    }

    [Fact]
    public async Task The_same_key_with_another_body_is_refused()
    {
        var (body, key) = (Some.Signup with { Password = Some.Password }, Some.Key);
        await (await Ingress.SignupAsync(body, key: key)).SignupId();

        SignupBody[] others =
        [
            body with { Email = Some.Email }, body with { OrgName = "Another" }, body with { Password = Some.Password }, body with { Password = null },
        ];
        foreach (var other in others)
            await (await Ingress.SignupAsync(other, key: key)).IsProblem(422, "idempotency_key_reused");

        Assert.Equal(1L, await SignupsOf(body.Email!));
    }

    [Fact]
    public async Task Without_a_key_the_same_body_is_another_signup()
    {
        var body = Some.Signup;

        Assert.NotEqual(await (await Ingress.SignupAsync(body)).SignupId(), await (await Ingress.SignupAsync(body)).SignupId());
    }

    [Theory]
    [InlineData(null)]
    [InlineData("correct horse battery")]
    public async Task Concurrent_requests_with_one_key_make_one_signup(string? password)
    {
        var (body, client, key) = (Some.Signup with { Password = password }, Some.Client, Some.Key);

        var answers = await Task.WhenAll(Enumerable.Range(0, 16).Select(_ => Ingress.SignupAsync(body, client, key)));

        Assert.All(answers, answer => Assert.Contains((int)answer.StatusCode, (int[])[202, 409]));
        var ids = await Task.WhenAll(answers.Where(answer => (int)answer.StatusCode == 202).Select(answer => answer.SignupId()));
        Assert.Single(ids.Distinct());
        Assert.Equal(1L, await SignupsOf(body.Email!));
        // They counted once.
        Assert.Equal("\"signup\";r=3;t=3600", (await Ingress.SignupAsync(Some.Signup, client)).Header("RateLimit"));
    }

    [Fact]
    public async Task A_key_whose_request_is_in_flight_is_409()
    {
        var key = Some.Key;
        await using var other = await Postgres.Worker.OpenConnectionAsync();
        await using var transaction = await other.BeginTransactionAsync();
        await using (var command = other.CreateCommand())
        {
            // The lock as the request takes it: the first eight bytes of the key's SHA-256.
            command.CommandText = "select pg_advisory_xact_lock(('x' || encode(substr(sha256(convert_to($1, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint)";
            command.Parameters.Add(new() { Value = key });
            await command.ExecuteNonQueryAsync();
        }

        var body = Some.Signup;
        var inFlight = await Ingress.SignupAsync(body, key: key);
        await inFlight.IsProblem(409, "request_in_flight");
        Assert.Equal("1", inFlight.Header("Retry-After"));

        await transaction.RollbackAsync();
        await (await Ingress.SignupAsync(body, key: key)).SignupId();
    }

    [Fact]
    public async Task A_refusal_is_not_remembered()
    {
        var (body, key, client) = (Some.Signup, Some.Key, Some.Client);
        await (await Ingress.SignupAsync(body with { OrgName = "x" }, client, key)).IsProblem(400, "invalid_org_name");
        for (var i = 0; i < 5; i++)
            await (await Ingress.SignupAsync(Some.Signup, client)).SignupId();
        await (await Ingress.SignupAsync(body, client, key)).IsProblem(429, "rate_limited");

        await (await Ingress.SignupAsync(body, key: key)).SignupId();
    }

    [Fact]
    public async Task A_key_may_have_255_visible_ASCII_characters()
    {
        await (await Ingress.SignupAsync(Some.Signup, key: "\"" + Some.Key.PadRight(254, '~'))).SignupId();
        foreach (var wrong in (string[])[new string('k', 256), "two words", "k\u00e9y", ""])
            await (await Ingress.SignupAsync(Some.Signup, key: wrong)).IsProblem(400, "invalid_request");
    }

    Task<long> SignupsOf(string email) => Postgres.AskAsync<long>("select count(*) from pulse.signups where email = $1", email);
}
