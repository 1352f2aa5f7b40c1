using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;

namespace Pulse.Worker.Hooks;

/// <summary>Calls the platform's hook. What goes wrong is an outcome, not an exception.</summary>
/// <remarks>
/// Whoever sets the address could make Pulse ask its own network. So a name is looked up once, when it is connected to, and what it stands for
/// is judged then and there: a name that stands for something else a moment later helps nobody. Redirects are not followed, no proxy of the
/// environment is asked, and of an answer nothing but its head is read.
/// </remarks>
sealed class HookClient : IDisposable
{
    readonly HookOptions _options;
    readonly TimeProvider _clock;
    readonly HttpClient _http;

    public HookClient(HookOptions options, TimeProvider clock)
    {
        _options = options;
        _clock = clock;
        _http = new HttpClient(new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseProxy = false,
            UseCookies = false,
            AutomaticDecompression = DecompressionMethods.None,
            // A new connection looks its name up anew.
            PooledConnectionLifetime = TimeSpan.FromMinutes(2),
            // Kilobytes of headers, bytes of a body that nobody reads, and how long they may take: beyond it the connection is dropped.
            MaxResponseHeadersLength = 32,
            MaxResponseDrainSize = 64 * 1024,
            ResponseDrainTimeout = TimeSpan.FromSeconds(1),
            ConnectCallback = ConnectAsync,
        })
        {
            // Each call has its own.
            Timeout = Timeout.InfiniteTimeSpan,
        };
    }

    public async Task<HookAnswer> PostAsync(string id, byte[] body, CancellationToken cancellationToken)
    {
        using var within = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        within.CancelAfter(_options.Timeout);
        try
        {
            using var request = Request(id, body);
            using var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, within.Token);
            return Read(response);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return new(HookResult.TimedOut);
        }
        catch (HttpRequestException exception)
        {
            return new(exception switch
            {
                { InnerException: BlockedAddressException } => HookResult.Blocked,
                { HttpRequestError: HttpRequestError.NameResolutionError or HttpRequestError.ConnectionError or HttpRequestError.SecureConnectionError } => HookResult.Unreachable,
                _ => HookResult.Broken,
            });
        }
    }

    HttpRequestMessage Request(string id, byte[] body)
    {
        var now = _clock.GetUtcNow();
        return new HttpRequestMessage(HttpMethod.Post, _options.Url)
        {
            Content = new ByteArrayContent(body) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } },
            Headers =
            {
                { "webhook-id", id },
                { "webhook-timestamp", now.ToUnixTimeSeconds().ToString(System.Globalization.CultureInfo.InvariantCulture) },
                { "webhook-signature", HookSignature.Sign(id, now, body, _options.Secrets) },
                { "Idempotency-Key", id },
                { "User-Agent", "Pulse" },
            },
        };
    }

    HookAnswer Read(HttpResponseMessage response)
    {
        var status = (int)response.StatusCode;
        var result = status switch
        {
            202 => HookResult.Accepted,
            >= 200 and < 300 => HookResult.Done,
            408 => HookResult.Unavailable,
            410 => HookResult.Gone,
            429 => HookResult.Busy,
            >= 300 and < 500 => HookResult.Refused,
            _ => HookResult.Unavailable,
        };
        return new HookAnswer(result, status, RetryAfter(response.Headers.RetryAfter));
    }

    TimeSpan? RetryAfter(RetryConditionHeaderValue? header) => header switch
    {
        { Delta: { } delta } => delta,
        { Date: { } date } => date - _clock.GetUtcNow(),
        _ => null,
    };

    async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellationToken)
    {
        var endpoint = context.DnsEndPoint;
        var addresses = await Dns.GetHostAddressesAsync(endpoint.Host, cancellationToken);
        var allowed = _options.AllowPrivate ? addresses : Array.FindAll(addresses, AddressRules.IsPublic);
        if (allowed.Length == 0)
            throw new BlockedAddressException();

        // Apart: a socket that asks for several families can't have one that the machine lacks.
        SocketException? failure = null;
        foreach (var address in allowed)
        {
            var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                await socket.ConnectAsync(address, endpoint.Port, cancellationToken);
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch (SocketException exception)
            {
                socket.Dispose();
                failure = exception;
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }

        throw failure!;
    }

    public void Dispose() => _http.Dispose();

    /// <summary>The hook's name stands for no address of the public internet.</summary>
    sealed class BlockedAddressException() : IOException("Private addresses are not allowed: PULSE_HOOK_ALLOW_PRIVATE.");
}
