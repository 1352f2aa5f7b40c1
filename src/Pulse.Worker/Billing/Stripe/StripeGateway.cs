using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;

namespace Pulse.Worker.Billing.Stripe;

/// <summary>What Stripe says of one customer, and which organizations it is said to belong to.</summary>
sealed record StripeCustomer(Canonical Canonical, LinkClaims Claims);

/// <summary>Where a customer is said to belong. As written: nobody has looked yet whether it is an id.</summary>
/// <param name="Metadata"><c>metadata.org_id</c> of the customer and of its subscriptions.</param>
/// <param name="ClientReferences"><c>client_reference_id</c> of its completed checkout sessions.</param>
sealed record LinkClaims(IReadOnlyList<string> Metadata, IReadOnlyList<string> ClientReferences);

/// <summary>The few calls of Stripe's API that Pulse makes; all but one only read. Stands where Stripe.net would.</summary>
/// <remarks>Whatever Stripe or the network does is a return value. The key is in the header and nowhere else.</remarks>
sealed partial class StripeGateway : IDisposable
{
    const int PageSize = 100;

    readonly HttpClient _http;
    readonly StripeOptions _options;
    readonly RequestRate _rate;
    readonly TimeProvider _clock;
    readonly ILogger<StripeGateway> _log;

    public StripeGateway(StripeOptions options, RequestRate rate, TimeProvider clock, ILogger<StripeGateway> log, HttpMessageHandler? handler = null)
    {
        _options = options;
        _rate = rate;
        _clock = clock;
        _log = log;
        // No factory and so none of its logging; no redirect, which could carry the key elsewhere.
        _http = new HttpClient(handler ?? new SocketsHttpHandler { PooledConnectionLifetime = TimeSpan.FromMinutes(5), AllowAutoRedirect = false })
        {
            BaseAddress = options.Base,
            Timeout = options.Timeout,
            MaxResponseContentBufferSize = 16 * 1024 * 1024,
        };
        _http.DefaultRequestHeaders.Add("Stripe-Version", StripeOptions.Version);
        if (options.Key is { } key)
            _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
    }

    /// <summary>
    /// The customer's subscriptions, open invoices and active entitlements, every page. The caller has a token of the rate, which is
    /// enough for the first page of each.
    /// </summary>
    /// <param name="customerId">Stripe's id of it.</param>
    /// <param name="withSessions">Also its checkout sessions: only a customer that has no link needs them.</param>
    public async Task<StripeAnswer<StripeCustomer>> CustomerAsync(string customerId, bool withSessions, CancellationToken cancellationToken)
    {
        var id = Uri.EscapeDataString(customerId);
        var customer = GetAsync($"/v1/customers/{id}", cancellationToken);
        var subscriptions = ListAsync($"/v1/subscriptions?customer={id}&status=all", SubscriptionPageItem, cancellationToken);
        var invoices = ListAsync($"/v1/invoices?customer={id}&status=open", StripeJson.Invoice, cancellationToken);
        var entitlements = ListAsync($"/v1/entitlements/active_entitlements?customer={id}", item => item.Text("lookup_key"), cancellationToken);
        var sessions = withSessions
            ? ListAsync($"/v1/checkout/sessions?customer={id}", item => item.Text("status") is null or "complete" ? item.Text("client_reference_id") : null, cancellationToken)
            : Task.FromResult(new StripeAnswer<List<string>>(StripeResult.Fetched, []));
        await Task.WhenAll(customer, subscriptions, invoices, entitlements, sessions);

        using var itself = (await customer).Value;
        var deleted = (await customer).Result is StripeResult.Gone || itself?.RootElement.Flag("deleted") is true;
        if (!deleted && !(await customer).IsFetched)
            return (await customer).As<StripeCustomer>();

        var lists = new[] { Failure(await subscriptions, deleted), Failure(await invoices, deleted), Failure(await entitlements, mayBeGone: true), Failure(await sessions, deleted) };
        if (lists.OfType<StripeAnswer<StripeCustomer>>().OrderByDescending(failure => failure.Result).ToList() is [var worst, ..])
            return worst;

        var items = new List<StripeSubscription>();
        foreach (var subscription in (await subscriptions).Value ?? [])
        {
            if (subscription.MoreItems)
            {
                var prices = await ListAsync($"/v1/subscription_items?subscription={Uri.EscapeDataString(subscription.Value.Id)}", PriceOfItem, cancellationToken, firstIsFree: false);
                if (!prices.IsFetched)
                    return prices.As<StripeCustomer>();
                items.Add(subscription.Value with { Prices = [.. prices.Value!.DistinctBy(price => price.Id).OrderBy(price => price.Id, StringComparer.Ordinal)] });
            }
            else
            {
                items.Add(subscription.Value);
            }
        }

        // In an order of their own: what is the same at Stripe is the same here, whatever order a list came in.
        var canonical = new Canonical
        {
            Deleted = deleted,
            Subscriptions = [.. items.OrderBy(subscription => subscription.Id, StringComparer.Ordinal)],
            OpenInvoices = [.. ((await invoices).Value ?? []).OrderBy(invoice => invoice.Id, StringComparer.Ordinal)],
            ActiveEntitlements = [.. ((await entitlements).Value ?? []).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)],
        };
        var claimed = items.Select(subscription => subscription.OrgId).Prepend(itself?.RootElement.Member("metadata").Text("org_id"));
        return new(StripeResult.Fetched, new StripeCustomer(canonical, new LinkClaims([.. claimed.OfType<string>().Distinct()], [.. ((await sessions).Value ?? []).Distinct()])));

        static StripeAnswer<StripeCustomer>? Failure<T>(StripeAnswer<T> answer, bool mayBeGone) => answer.Result switch
        {
            StripeResult.Fetched => null,
            StripeResult.Gone when mayBeGone => null,
            // Deleted between the two questions: the next time they agree.
            StripeResult.Gone => new(StripeResult.Unavailable, Reason: "the customer went while it was fetched"),
            _ => answer.As<StripeCustomer>(),
        };
    }

    /// <summary>One object by its path, <c>/v1/charges/ch_1</c>. Waits for its turn.</summary>
    public async Task<StripeAnswer<JsonElement>> ObjectAsync(string path, CancellationToken cancellationToken)
    {
        if (!await _rate.WaitAsync(cancellationToken))
            return new(StripeResult.RateLimited, Reason: "not our turn");

        var answer = await GetAsync(path, cancellationToken);
        using var document = answer.Value;
        return answer.IsFetched ? new(StripeResult.Fetched, document!.RootElement.Clone()) : answer.As<JsonElement>();
    }

    /// <summary>One page of the account's events since a moment, newest first. Waits for its turn.</summary>
    /// <param name="after">The last event of the page before; null for the first page.</param>
    public async Task<StripeAnswer<StripeEventPage>> EventsAsync(DateTimeOffset since, string? after, CancellationToken cancellationToken)
    {
        var page = await PageAsync(
            string.Create(CultureInfo.InvariantCulture, $"/v1/events?created[gte]={since.ToUnixTimeSeconds()}"), after, StripeJson.Event, cancellationToken);
        return page.IsFetched
            ? new(StripeResult.Fetched, new StripeEventPage(page.Value!.Items, page.Value.More ? page.Value.LastId : null))
            : page.As<StripeEventPage>();
    }

    /// <summary>One page of the customers of all subscriptions there are. Waits for its turn.</summary>
    public async Task<StripeAnswer<(IReadOnlyList<string> Customers, string? After)>> SubscribersAsync(string? after, CancellationToken cancellationToken)
    {
        var page = await PageAsync("/v1/subscriptions?status=all", after, item => item.Id("customer"), cancellationToken);
        return page.IsFetched
            ? new(StripeResult.Fetched, (page.Value!.Items, page.Value.More ? page.Value.LastId : null))
            : page.As<(IReadOnlyList<string>, string?)>();
    }

    /// <summary>A customer's subscriptions as they are now, every page. Waits for its turn.</summary>
    public async Task<StripeAnswer<List<StripeSubscription>>> SubscriptionsAsync(string customerId, CancellationToken cancellationToken) =>
        await ListAsync($"/v1/subscriptions?customer={Uri.EscapeDataString(customerId)}&status=all", StripeJson.Subscription, cancellationToken, firstIsFree: false);

    /// <summary>Ends a subscription with its period, or takes that back. The one call that changes something at Stripe. Waits for its turn.</summary>
    /// <param name="subscriptionId">Stripe's id of it.</param>
    /// <param name="cancel">False: it goes on.</param>
    /// <param name="key">The idempotency key: the same for the same wish, however often it is told.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    public async Task<StripeAnswer<JsonDocument>> CancelAtPeriodEndAsync(string subscriptionId, bool cancel, string key, CancellationToken cancellationToken)
    {
        if (!await _rate.WaitAsync(cancellationToken))
            return new(StripeResult.RateLimited, Reason: "not our turn");

        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri($"/v1/subscriptions/{Uri.EscapeDataString(subscriptionId)}", UriKind.Relative))
        {
            Content = new FormUrlEncodedContent([KeyValuePair.Create("cancel_at_period_end", cancel ? "true" : "false")]),
        };
        request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
        var answer = await SendAsync(request, cancellationToken);
        answer.Value?.Dispose();
        return answer with { Value = null };
    }

    public void Dispose() => _http.Dispose();

    sealed record Page<T>(List<T> Items, string? LastId, bool More);

    sealed record ListedSubscription(StripeSubscription Value, bool MoreItems);

    static ListedSubscription? SubscriptionPageItem(JsonElement item) => StripeJson.Subscription(item) is { } subscription
        ? new ListedSubscription(subscription, item.Member("items").Flag("has_more") is true)
        : null;

    static StripePrice? PriceOfItem(JsonElement item) => item.Member("price") is { ValueKind: JsonValueKind.Object } price && price.Text("id") is { } id
        ? new StripePrice { Id = id, LookupKey = price.Text("lookup_key"), ProductId = price.Id("product") }
        : null;

    async Task<StripeAnswer<List<T>>> ListAsync<T>(
        string path, Func<JsonElement, T?> read, CancellationToken cancellationToken, bool firstIsFree = true)
        where T : class
    {
        var all = new List<T>();
        string? after = null;
        do
        {
            if ((after is not null || !firstIsFree) && !await _rate.WaitAsync(cancellationToken))
                return new(StripeResult.RateLimited, Reason: "not our turn");

            var page = await ReadPageAsync(path, after, read, cancellationToken);
            if (!page.IsFetched)
                return page.As<List<T>>();

            all.AddRange(page.Value!.Items);
            after = page.Value.More ? page.Value.LastId : null;
        }
        while (after is not null);

        return new(StripeResult.Fetched, all);
    }

    async Task<StripeAnswer<Page<T>>> PageAsync<T>(string path, string? after, Func<JsonElement, T?> read, CancellationToken cancellationToken)
        where T : class =>
        await _rate.WaitAsync(cancellationToken)
            ? await ReadPageAsync(path, after, read, cancellationToken)
            : new(StripeResult.RateLimited, Reason: "not our turn");

    async Task<StripeAnswer<Page<T>>> ReadPageAsync<T>(string path, string? after, Func<JsonElement, T?> read, CancellationToken cancellationToken)
        where T : class
    {
        var separator = path.Contains('?', StringComparison.Ordinal) ? '&' : '?';
        var answer = await GetAsync(
            $"{path}{separator}limit={PageSize}{(after is null ? "" : $"&starting_after={Uri.EscapeDataString(after)}")}", cancellationToken);
        using var document = answer.Value;
        if (!answer.IsFetched)
            return answer.As<Page<T>>();

        // A list without its data would read as an empty one, and take away what somebody pays for.
        if (document!.RootElement.Member("data").ValueKind is not JsonValueKind.Array)
            return new(StripeResult.Unavailable, Reason: "an answer without data");

        var items = document.RootElement.Items().ToList();
        var more = document.RootElement.Flag("has_more") is true;
        var last = items.Count > 0 ? items[^1].Text("id") : null;
        if (more && last is null)
            return new(StripeResult.Unavailable, Reason: "a page without an end");
        return new(StripeResult.Fetched, new Page<T>([.. items.Select(read).OfType<T>()], last, more));
    }

    async Task<StripeAnswer<JsonDocument>> GetAsync(string path, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(path, UriKind.Relative));
        return await SendAsync(request, cancellationToken);
    }

    async Task<StripeAnswer<JsonDocument>> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        if (_options.Key is null)
            return new(StripeResult.Refused, Reason: "PULSE_STRIPE_API_KEY is not set");

        try
        {
            using var response = await _http.SendAsync(request, cancellationToken);
            if (response.StatusCode is HttpStatusCode.OK)
            {
                await using var body = await response.Content.ReadAsStreamAsync(cancellationToken);
                return new(StripeResult.Fetched, await JsonDocument.ParseAsync(body, cancellationToken: cancellationToken));
            }

            var code = await CodeAsync(response, cancellationToken);
            var answer = Failed(response, code);
            if (answer.Result is StripeResult.Refused)
                Refused(_log, (int)response.StatusCode, code, RequestId(response));
            if (answer.Result is StripeResult.Rejected)
                Rejected(_log, (int)response.StatusCode, code, RequestId(response));
            return answer;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return new(StripeResult.Unavailable, Reason: "no answer in time");
        }
        catch (HttpRequestException exception)
        {
            return new(StripeResult.Unavailable, Reason: exception.HttpRequestError.ToString());
        }
        catch (Exception exception) when (exception is JsonException or IOException)
        {
            return new(StripeResult.Unavailable, Reason: "an answer that can't be read");
        }
    }

    StripeAnswer<JsonDocument> Failed(HttpResponseMessage response, string code)
    {
        var status = (int)response.StatusCode;
        var reason = $"{status} {code}";
        return response.StatusCode switch
        {
            HttpStatusCode.NotFound => new(StripeResult.Gone, Reason: reason),
            HttpStatusCode.BadRequest when code == "resource_missing" => new(StripeResult.Gone, Reason: reason),
            HttpStatusCode.TooManyRequests => new(StripeResult.RateLimited, RetryAfter: RetryAfter(response), Reason: reason),
            HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden => new(StripeResult.Refused, RetryAfter: RetryAfter(response), Reason: reason),
            // A conflict and a failed dependency pass, and so does what a proxy says in Stripe's place.
            HttpStatusCode.RequestTimeout or HttpStatusCode.Conflict or HttpStatusCode.FailedDependency => new(StripeResult.Unavailable, RetryAfter: RetryAfter(response), Reason: reason),
            _ when status is >= 400 and < 500 => new(StripeResult.Rejected, Reason: reason),
            _ => new(StripeResult.Unavailable, RetryAfter: RetryAfter(response), Reason: reason),
        };
    }

    TimeSpan? RetryAfter(HttpResponseMessage response)
    {
        var wait = response.Headers.RetryAfter is { } header ? header.Delta ?? (header.Date - _clock.GetUtcNow()) : null;
        return wait > TimeSpan.Zero ? wait : null;
    }

    static async Task<string> CodeAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        try
        {
            await using var body = await response.Content.ReadAsStreamAsync(cancellationToken);
            using var document = await JsonDocument.ParseAsync(body, cancellationToken: cancellationToken);
            var error = document.RootElement.Member("error");
            // A code is a word of Stripe's. A message could quote the key.
            return error.Text("code") ?? error.Text("type") ?? "";
        }
        catch (Exception exception) when (exception is JsonException or IOException)
        {
            return "";
        }
    }

    static string RequestId(HttpResponseMessage response) =>
        response.Headers.TryGetValues("Request-Id", out var values) ? values.FirstOrDefault() ?? "" : "";

    [LoggerMessage(Level = LogLevel.Error, Message = "Stripe refuses the key ({Status} {Code}, request {RequestId}): look at PULSE_STRIPE_API_KEY and at what it may read. It is asked again")]
    static partial void Refused(ILogger logger, int status, string code, string requestId);

    [LoggerMessage(Level = LogLevel.Error, Message = "Stripe rejects a request ({Status} {Code}, request {RequestId}): this is a bug")]
    static partial void Rejected(ILogger logger, int status, string code, string requestId);
}

/// <summary>One page of events.</summary>
/// <param name="After">Where the next page begins; null after the last.</param>
sealed record StripeEventPage(IReadOnlyList<StripeEvent> Events, string? After);
