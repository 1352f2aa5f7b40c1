using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Pulse.StripeDouble;
using Pulse.StripeDouble.Api;

namespace Pulse.Tests.StripeDouble;

/// <summary>The double answers as Stripe's API does.</summary>
public sealed class ApiTests : IAsyncLifetime
{
    readonly TestClock _clock = new();
    StripeServer _stripe = null!;
    StripeClient _client = null!;

    public async Task InitializeAsync()
    {
        _stripe = await StripeServer.StartAsync(new StripeOptions { Clock = _clock });
        _client = new StripeClient(_stripe);
    }

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await _stripe.DisposeAsync();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(100)]
    public async Task Pages_in_either_direction_hold_everything_once_the_newest_first(int limit)
    {
        var customer = _stripe.Account.CreateCustomer().Id;
        var other = _stripe.Account.CreateCustomer().Id;
        _stripe.Account.SetEntitlements(other, "not of this list");
        _stripe.Account.SetEntitlements(customer, [.. Enumerable.Range(1, 25).Select(number => $"feature-{number}")]);

        var list = $"/v1/entitlements/active_entitlements?customer={customer}";
        var forwards = await _client.AllAsync(list, limit);
        Assert.Equal(25, forwards.Distinct().Count());
        Assert.Equal("feature-25", (string)(await _client.GetAsync(list))["data"]![0]!["lookup_key"]!);

        // What came after the oldest is all but the oldest.
        Assert.Equal(forwards[..^1], await _client.AllAsync(list, limit, backwards: true, from: forwards[^1]));
    }

    [Fact]
    public async Task Events_since_a_cursor_come_without_a_gap_though_they_tie()
    {
        var customer = _stripe.Account.CreateCustomer().Id;
        var cursor = _stripe.Account.History()[^1].Id;
        _stripe.Account.Subscribe(customer, "price_pro");
        var since = _stripe.Account.History().Skip(1).Reverse().Select(made => made.Id).ToList();
        Assert.Single(_stripe.Account.History().Select(made => made.Created).Distinct());

        Assert.Equal(since, await _client.AllAsync("/v1/events", 2, backwards: true, from: cursor));
        Assert.Equal(2, (await _client.AllAsync($"/v1/events?types[]=invoice.paid&types[]=customer.subscription.created&created[gte]={_clock.GetUtcNow().ToUnixTimeSeconds()}", 1)).Count);

        _clock.Advance(TimeSpan.FromDays(31));
        Assert.DoesNotContain(cursor, await _client.AllAsync("/v1/events", 100));
    }

    [Fact]
    public async Task A_request_with_the_same_key_is_carried_out_once()
    {
        var first = await _client.PostAsync("/v1/customers", "key-1", ("email", "a@example.com"), ("metadata[org_id]", "o-1"));
        var again = await _client.PostAsync("/v1/customers", "key-1", ("metadata[org_id]", "o-1"), ("email", "a@example.com"));
        var other = await _client.PostAsync("/v1/customers", "key-1", ("email", "b@example.com"));
        var fresh = await _client.PostAsync("/v1/customers", "key-2", ("email", "a@example.com"));

        var id = await IdAsync(first);
        Assert.Equal(id, await IdAsync(again));
        Assert.True(again.Headers.Contains("Idempotent-Replayed"));
        Assert.NotEqual(id, await IdAsync(fresh));
        Assert.Equal(HttpStatusCode.BadRequest, other.StatusCode);
        Assert.Equal("idempotency_error", (string)(await other.Content.ReadFromJsonAsync<JsonNode>())!["error"]!["type"]!);
        Assert.Equal("o-1", _stripe.Account.Customer(id).Metadata["org_id"]);

        static async Task<string> IdAsync(HttpResponseMessage answer) => (string)(await answer.Content.ReadFromJsonAsync<JsonNode>())!["id"]!;
    }

    [Fact]
    public async Task A_request_whose_answer_was_lost_is_done_and_its_repeat_is_answered()
    {
        _stripe.Faults.Add(new(FaultKind.Reset) { Times = 1 });
        await Assert.ThrowsAsync<HttpRequestException>(() => _client.PostAsync("/v1/customers", "key", ("email", "a@example.com")));

        var answer = await _client.PostAsync("/v1/customers", "key", ("email", "a@example.com"));
        Assert.True(answer.IsSuccessStatusCode && answer.Headers.Contains("Idempotent-Replayed"));
        Assert.Single(_stripe.Account.History());
    }

    [Theory]
    [InlineData("/v1/customers/cus_none", 404, "resource_missing", "id")]
    [InlineData("/v1/subscriptions?customer=cus_none&status=all", 400, "resource_missing", "customer")]
    [InlineData("/v1/subscriptions?limit=101", 400, null, "limit")]
    [InlineData("/v1/events?ending_before=evt_none", 400, "resource_missing", "ending_before")]
    [InlineData("/v1/invoices?customer_id=cus_1", 400, "parameter_unknown", "customer_id")]
    [InlineData("/v1/entitlements/active_entitlements", 400, "parameter_missing", "customer")]
    [InlineData("/v1/nothing", 404, null, null)]
    public async Task A_wrong_request_is_refused_in_Stripe_s_words(string path, int status, string? code, string? parameter)
    {
        var answer = await _client.Http.GetAsync(path);
        var error = (await answer.Content.ReadFromJsonAsync<JsonNode>())!["error"]!;

        Assert.Equal(status, (int)answer.StatusCode);
        Assert.Equal("invalid_request_error", (string)error["type"]!);
        Assert.Equal(code, (string?)error["code"]);
        Assert.Equal(parameter, (string?)error["param"]);
        Assert.StartsWith("req_", answer.Headers.GetValues("Request-Id").Single(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_wrong_key_is_refused()
    {
        using var stranger = new HttpClient { BaseAddress = _stripe.Url };
        Assert.Equal(HttpStatusCode.Unauthorized, (await stranger.GetAsync("/v1/customers")).StatusCode);
        stranger.DefaultRequestHeaders.Authorization = new("Basic", Convert.ToBase64String("sk_test_double:"u8));
        Assert.Equal(HttpStatusCode.OK, (await stranger.GetAsync("/v1/customers")).StatusCode);
    }

    [Fact]
    public async Task A_version_before_basil_has_the_period_on_the_subscription_and_names_it_on_the_invoice()
    {
        var customer = _stripe.Account.CreateCustomer().Id;
        var subscription = _stripe.Account.Subscribe(customer, "price_pro").Id;

        var (now, older) = (await ShownAsync("2025-03-31.basil"), await ShownAsync("2025-02-24.acacia"));
        Assert.Null(now.Subscription["current_period_end"]);
        Assert.NotNull(now.Subscription["items"]!["data"]![0]!["current_period_end"]);
        Assert.Equal(subscription, (string)now.Invoice["parent"]!["subscription_details"]!["subscription"]!);
        Assert.Null(now.Invoice["subscription"]);
        Assert.NotNull(older.Subscription["current_period_end"]);
        Assert.Null(older.Subscription["items"]!["data"]![0]!["current_period_end"]);
        Assert.Equal(subscription, (string)older.Invoice["subscription"]!);
        Assert.Null(older.Invoice["parent"]);

        async Task<(JsonNode Subscription, JsonNode Invoice)> ShownAsync(string version)
        {
            _client.Http.DefaultRequestHeaders.Remove("Stripe-Version");
            _client.Http.DefaultRequestHeaders.Add("Stripe-Version", version);
            return (await _client.GetAsync($"/v1/subscriptions/{subscription}"), (await _client.GetAsync($"/v1/invoices?customer={customer}"))["data"]![0]!);
        }
    }

    [Fact]
    public async Task A_slow_answer_shows_what_was_when_its_request_arrived()
    {
        var customer = _stripe.Account.CreateCustomer().Id;
        var subscription = _stripe.Account.Subscribe(customer, "price_pro").Id;
        _stripe.Faults.Jitter = (TimeSpan.FromMilliseconds(300), TimeSpan.FromMilliseconds(300));

        var slow = _client.GetAsync($"/v1/subscriptions/{subscription}");
        await Eventually.Until(() => _stripe.Requests.Total == 1, TimeSpan.FromSeconds(5), "the request has arrived");
        _stripe.Account.Cancel(subscription);
        Assert.Equal("active", (string)(await slow)["status"]!);

        _stripe.Faults.ReadsAt = ReadsAt.Answer;
        Assert.Equal("canceled", (string)(await _client.GetAsync($"/v1/subscriptions/{subscription}"))["status"]!);
    }

    [Fact]
    public async Task More_requests_a_second_than_allowed_are_told_so()
    {
        _stripe.Faults.PerSecond = 25;
        var answers = await Task.WhenAll(Enumerable.Range(0, 40).Select(_ => _client.Http.GetAsync("/v1/customers")));
        // A slow machine may take longer than a second over them, and then more may pass.
        Assert.InRange(answers.Count(answer => answer.StatusCode == HttpStatusCode.OK), 25, 39);
        Assert.Contains(answers, answer => answer.StatusCode == HttpStatusCode.TooManyRequests);
    }
}
