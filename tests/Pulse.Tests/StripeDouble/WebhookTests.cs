using System.Net;
using System.Text.Json.Nodes;
using Pulse.StripeDouble;
using Pulse.StripeDouble.Webhooks;

namespace Pulse.Tests.StripeDouble;

/// <summary>The double delivers its events as Stripe does, and as badly as it is told to.</summary>
public sealed class WebhookTests
{
    static readonly TimeSpan Deadline = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task Every_event_arrives_once_signed()
    {
        await using var endpoint = await Endpoint.StartAsync();
        await using var stripe = await StartAsync(endpoint);
        stripe.Account.Subscribe(stripe.Account.CreateCustomer().Id, "price_pro");
        await stripe.Webhooks.QuietAsync(Deadline);

        Assert.Equal(stripe.Account.History().Select(made => made.Id).Order(), endpoint.Ids.Order());
        Assert.All(endpoint.Received, post => Assert.Matches("^t=[0-9]{10},v1=[0-9a-f]{64}$", post.Signature));
        Assert.Empty(stripe.Webhooks.Undelivered());
    }

    [Fact]
    public async Task An_endpoint_that_fails_is_tried_again_with_the_same_body()
    {
        await using var endpoint = await Endpoint.StartAsync();
        endpoint.Refusals = 3;
        await using var stripe = await StartAsync(endpoint);
        stripe.Account.CreateCustomer();
        await stripe.Webhooks.QuietAsync(Deadline);

        Assert.Equal(4, endpoint.Received.Count);
        Assert.Single(endpoint.Received.Select(post => post.Body).Distinct());
        Assert.Empty(stripe.Webhooks.Undelivered());
    }

    [Fact]
    public async Task Dropped_events_are_undelivered_until_a_test_delivers_them_in_its_own_order()
    {
        await using var endpoint = await Endpoint.StartAsync();
        await using var stripe = await StartAsync(endpoint);
        stripe.Webhooks.Faults = new DeliveryFaults { Drop = 1 };
        stripe.Account.Subscribe(stripe.Account.CreateCustomer().Id, "price_pro");
        await stripe.Webhooks.QuietAsync(Deadline);
        Assert.Empty(endpoint.Received);

        var order = stripe.Webhooks.Undelivered().Select(left => left.Id).Reverse().ToList();
        order.Add(order[0]);
        Assert.All(await stripe.Webhooks.DeliverAsync(order), status => Assert.Equal(200, status));
        Assert.Equal(order, endpoint.Ids);
        Assert.Empty(stripe.Webhooks.Undelivered());
    }

    [Fact]
    public async Task Faults_duplicate_and_reorder_but_lose_nothing()
    {
        await using var endpoint = await Endpoint.StartAsync();
        await using var stripe = await StartAsync(endpoint);
        stripe.Webhooks.Faults = new DeliveryFaults { Duplicate = 0.5, Delay = TimeSpan.FromMilliseconds(20), Shuffle = 5 };
        for (var customer = 0; customer < 40; customer++)
            stripe.Account.CreateCustomer();
        await stripe.Webhooks.QuietAsync(Deadline);

        var made = stripe.Account.History().Select(one => one.Id).ToList();
        Assert.Equal(made.Order(), endpoint.Ids.Distinct().Order());
        Assert.True(endpoint.Ids.Count > made.Count);
        Assert.NotEqual(made, endpoint.Ids.Distinct());
    }

    [Fact]
    public async Task A_thin_twin_names_its_snapshot_event()
    {
        await using var endpoint = await Endpoint.StartAsync();
        await using var stripe = await StartAsync(endpoint, EventPayload.Both);
        var customer = stripe.Account.CreateCustomer();
        await stripe.Webhooks.QuietAsync(Deadline);

        var bodies = endpoint.Received.Select(post => JsonNode.Parse(post.Body)!).ToList();
        var snapshot = bodies.Single(body => (string)body["object"]! == "event");
        var thin = bodies.Single(body => (string)body["object"]! == "v2.core.event");
        Assert.Equal((string)snapshot["id"]!, (string)thin["snapshot_event"]!);
        Assert.Equal("v1.customer.created", (string)thin["type"]!);
        Assert.Equal($"/v1/customers/{customer.Id}", (string)thin["related_object"]!["url"]!);
    }

    static Task<StripeServer> StartAsync(Endpoint endpoint, EventPayload payload = EventPayload.Snapshot) => StripeServer.StartAsync(new StripeOptions
    {
        Endpoints = [new WebhookEndpoint(endpoint.Url, "whsec_test") { Payload = payload }],
        FirstBackoff = TimeSpan.FromMilliseconds(10),
    });

    /// <summary>Takes what is posted.</summary>
    sealed class Endpoint : IAsyncDisposable
    {
        readonly HttpListener _listener = new();
        readonly List<(string Body, string Signature)> _received = [];
        Task _loop = Task.CompletedTask;

        public Uri Url { get; private set; } = null!;
        public int Refusals { get; set; }

        public IReadOnlyList<(string Body, string Signature)> Received
        {
            get
            {
                lock (_received)
                    return [.. _received];
            }
        }

        public List<string> Ids => [.. Received.Select(post => (string)JsonNode.Parse(post.Body)!["id"]!)];

        public static Task<Endpoint> StartAsync()
        {
            var endpoint = new Endpoint();
            using (var probe = new System.Net.Sockets.TcpListener(IPAddress.Loopback, 0))
            {
                probe.Start();
                endpoint.Url = new Uri($"http://127.0.0.1:{((IPEndPoint)probe.LocalEndpoint).Port}/");
            }

            endpoint._listener.Prefixes.Add(endpoint.Url.ToString());
            endpoint._listener.Start();
            endpoint._loop = endpoint.TakeAsync();
            return Task.FromResult(endpoint);
        }

        async Task TakeAsync()
        {
            while (_listener.IsListening)
            {
                HttpListenerContext context;
                try
                {
                    context = await _listener.GetContextAsync();
                }
                catch (Exception exception) when (exception is HttpListenerException or ObjectDisposedException)
                {
                    return;
                }

                using var reader = new StreamReader(context.Request.InputStream);
                var body = await reader.ReadToEndAsync();
                lock (_received)
                    _received.Add((body, context.Request.Headers["Stripe-Signature"]!));
                context.Response.StatusCode = Refusals-- > 0 ? 503 : 200;
                context.Response.Close();
            }
        }

        public async ValueTask DisposeAsync()
        {
            _listener.Close();
            await _loop;
        }
    }
}
