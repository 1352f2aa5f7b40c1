using System.Net.Http.Headers;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Pulse.Ingress;

namespace Pulse.Testing;

/// <summary>An ingress in this process, on a real Kestrel and a free port.</summary>
/// <remarks>Hosted mode is on, and loopback is a trusted proxy, so that X-Forwarded-For stands for clients.</remarks>
public sealed class TestIngress : IAsyncDisposable
{
    readonly WebApplication _app;

    TestIngress(WebApplication app)
    {
        _app = app;
        Http = new HttpClient(new SocketsHttpHandler { RequestHeaderEncodingSelector = (_, _) => Encoding.Latin1 }) { BaseAddress = new Uri(app.Urls.First()) };
    }

    /// <summary>A client of it.</summary>
    public HttpClient Http { get; }

    /// <summary>What is registered in it.</summary>
    public IServiceProvider Services => _app.Services;

    /// <summary>Builds it and starts it.</summary>
    /// <param name="postgres">Its PULSE_POSTGRES.</param>
    /// <param name="clock">Its clock; null for the system's.</param>
    /// <param name="log">Hears every log line, of every level; null for silence.</param>
    /// <param name="variables"><c>NAME=value</c>, over the usual ones.</param>
    public static async Task<TestIngress> StartAsync(string postgres, TimeProvider? clock = null, ILoggerProvider? log = null, params string[] variables)
    {
        string[] usual =
        [
            "PULSE_INGRESS_URL=http://127.0.0.1:0", $"PULSE_POSTGRES={postgres}", "PULSE_HOSTED_MODE=true",
            "PULSE_TRUSTED_PROXIES=127.0.0.1", "PULSE_PASSWORD_HASH_ITERATIONS=100000", "PULSE_CLOCK_FILE=",
        ];
        var app = IngressProcess.Build([.. usual.Concat(variables).Select(variable => $"--{variable}")], services =>
        {
            if (clock is not null)
                services.Replace(ServiceDescriptor.Singleton(clock));

            services.AddLogging(logging =>
            {
                logging.ClearProviders();
                if (log is not null)
                {
                    logging.AddProvider(log);
                    logging.Services.Configure<LoggerFilterOptions>(filters =>
                    {
                        filters.Rules.Clear();
                        filters.MinLevel = LogLevel.Trace;
                    });
                }
            });
        });

        await app.StartAsync();
        return new TestIngress(app);
    }

    /// <summary>Asks for a signup.</summary>
    /// <param name="body">What is asked.</param>
    /// <param name="client">The address that it comes from; null for one of its own.</param>
    /// <param name="key">The Idempotency-Key.</param>
    public Task<HttpResponseMessage> SignupAsync(SignupBody body, string? client = null, string? key = null) =>
        SignupAsync(Encoding.UTF8.GetBytes(body.ToJson()), client, key);

    /// <summary>Sends any bytes as a signup.</summary>
    public async Task<HttpResponseMessage> SignupAsync(ReadOnlyMemory<byte> body, string? client = null, string? key = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/api/public/signup") { Content = new ReadOnlyMemoryContent(body) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        request.Headers.TryAddWithoutValidation("X-Forwarded-For", client ?? Some.Client);
        if (key is not null)
            request.Headers.TryAddWithoutValidation("Idempotency-Key", key);

        return await Http.SendAsync(request);
    }

    /// <summary>Stops it, as SIGTERM does.</summary>
    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await _app.StopAsync();
        await _app.DisposeAsync();
    }
}
