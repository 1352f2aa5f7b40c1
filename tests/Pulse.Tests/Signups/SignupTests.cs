using System.Diagnostics.Metrics;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;

namespace Pulse.Tests.Signups;

public sealed class SignupTests(TestPostgres postgres) : IngressTests(postgres)
{
    [Fact]
    public async Task A_signup_is_answered_with_202_and_where_to_ask_on()
    {
        var answer = await Ingress.SignupAsync(Some.Signup);

        var id = await answer.SignupId();
        Assert.Equal($$"""{"signup_id":"{{id}}","status":"accepted","status_url":"/api/public/signup/{{id}}"}""", await answer.Content.ReadAsStringAsync());
        Assert.Equal($"/api/public/signup/{id}", answer.Header("Location"));
        Assert.Equal("1", answer.Header("Retry-After"));
        Assert.Equal(7, id.Version);
        Assert.Equal("no-store", answer.Header("Cache-Control"));
    }

    [Fact]
    public async Task The_status_of_a_signup_can_be_asked_for()
    {
        var answer = await Ingress.SignupAsync(Some.Signup);
        var id = await answer.SignupId();

        var status = await Ingress.Http.GetAsync(answer.Headers.Location);

        Assert.Equal(200, (int)status.StatusCode);
        Assert.Equal($$"""{"signup_id":"{{id}}","status":"accepted"}""", await status.Content.ReadAsStringAsync());
    }

    [Theory]
    [InlineData("01900000-0000-7000-8000-000000000000")]
    [InlineData("default")]
    [InlineData("%20")]
    [InlineData("{01900000-0000-7000-8000-000000000000}")]
    public async Task An_unknown_signup_is_404(string id) =>
        await (await Ingress.Http.GetAsync($"/api/public/signup/{id}")).IsProblem(404, "not_found");

    [Fact]
    public async Task A_signup_is_stored_trimmed_with_its_email_in_one_spelling()
    {
        var answer = await Ingress.SignupAsync(Some.Signup with { Email = " Zoe\u0301@Example.ORG ", OrgName = " Acme Ltd\t" });

        var row = await Row(await answer.SignupId());

        Assert.Equal("Zoe\u0301@Example.ORG", row.GetProperty("email").GetString());
        Assert.Equal("zo\u00e9@example.org", row.GetProperty("email_normalized").GetString());
        Assert.Equal("Acme Ltd", row.GetProperty("org_name").GetString());
        Assert.Equal("accepted", row.GetProperty("status").GetString());
        Assert.Equal(JsonValueKind.Null, row.GetProperty("password_hash").ValueKind);
        Assert.Equal(Clock.GetUtcNow(), row.GetProperty("accepted_at").GetDateTimeOffset());
    }

    [Fact]
    public async Task The_outbox_row_is_of_the_same_transaction_and_holds_nothing_personal()
    {
        var body = Some.Signup with { Password = Some.Password };
        var id = await (await Ingress.SignupAsync(body)).SignupId();

        // xmin is the transaction that wrote a row.
        var message = await Postgres.AskAsync<string>("""
            select convert_from(o.body, 'UTF8') || coalesce(o.headers::text, '') || o.exchange
            from messaging.outbox o join pulse.signups s on s.xmin = o.xmin where s.signup_id = $1
            """, id);

        Assert.Contains(id.ToString(), message, StringComparison.Ordinal);
        Assert.EndsWith("Pulse.Contracts.Signups:SignupRequested", message, StringComparison.Ordinal);
        Assert.DoesNotContain(body.Email!, message, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain(body.OrgName!, message, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("password", message, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task Nothing_is_stored_when_the_outbox_row_cannot_be()
    {
        await using (var command = Postgres.Worker.CreateCommand("revoke insert on messaging.outbox from pulse_ingress"))
            await command.ExecuteNonQueryAsync();

        var body = Some.Signup;
        try
        {
            await (await Ingress.SignupAsync(body, key: "outbox-is-locked")).IsProblem(503, "unavailable");
        }
        finally
        {
            await using var command = Postgres.Worker.CreateCommand("grant insert on messaging.outbox to pulse_ingress");
            await command.ExecuteNonQueryAsync();
        }

        Assert.Equal(0L, await Postgres.AskAsync<long>("select count(*) from pulse.signups where email = $1", body.Email!));
        // The key has no answer yet, and the connections are fit for work.
        await (await Ingress.SignupAsync(body, key: "outbox-is-locked")).SignupId();
    }

    [Fact]
    public async Task A_known_and_an_unknown_email_get_the_same_answer()
    {
        var known = Some.Email;
        await using (var command = Postgres.Worker.CreateCommand(
            "insert into pulse.users (user_id, email, email_normalized, created_at) values (gen_random_uuid(), $1, $1, now())"))
        {
            command.Parameters.Add(new() { Value = known });
            await command.ExecuteNonQueryAsync();
        }

        Assert.Equal(await Described(await Ingress.SignupAsync(Some.Signup)), await Described(await Ingress.SignupAsync(Some.Signup with { Email = known })));

        static async Task<string> Described(HttpResponseMessage answer)
        {
            var id = (await answer.SignupId()).ToString();
            var headers = answer.Headers.Concat(answer.Content.Headers).Where(header => header.Key != "Date")
                .Select(header => $"{header.Key}: {string.Join(",", header.Value)}");
            return $"{answer.StatusCode}\n{string.Join('\n', headers)}\n{await answer.Content.ReadAsStringAsync()}".Replace(id, "ID", StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Only_a_new_signup_that_has_an_effect_is_counted()
    {
        var factory = Ingress.Services.GetRequiredService<IMeterFactory>();
        long counted = 0;
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Name == "pulse_hosted_signups_total" && instrument.Meter.Name == "Pulse.Ingress" && ReferenceEquals(instrument.Meter.Scope, factory))
                    listener.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<long>((_, by, tags, _) =>
        {
            Assert.Equal(0, tags.Length);
            Interlocked.Add(ref counted, by);
        });
        listener.Start();

        var (body, client) = (Some.Signup, Some.Client);
        await (await Ingress.SignupAsync(body, client, "counted-once")).SignupId();
        await (await Ingress.SignupAsync(body, client, "counted-once")).SignupId();
        await (await Ingress.SignupAsync(body with { OrgName = "/" }, client)).IsProblem(400, "invalid_org_name");
        await (await Ingress.SignupAsync(body, client)).SignupId();
        await (await Ingress.SignupAsync(body, client)).SignupId();
        Assert.Equal(3, counted);

        // The fourth of the email, then the sixth of the address.
        await (await Ingress.SignupAsync(body, client)).SignupId();
        await (await Ingress.SignupAsync(Some.Signup, client)).SignupId();
        await (await Ingress.SignupAsync(Some.Signup, client)).IsProblem(429, "rate_limited");
        Assert.Equal(4, counted);
    }

    async Task<JsonElement> Row(Guid id) =>
        JsonSerializer.Deserialize<JsonElement>(Encoding.UTF8.GetBytes(await Postgres.AskAsync<string>("select to_jsonb(s)::text from pulse.signups s where signup_id = $1", id)));
}
