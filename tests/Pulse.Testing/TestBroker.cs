using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Xunit;

namespace Pulse.Testing;

/// <summary>A fresh virtual host of a real RabbitMQ, deleted at the end.</summary>
public sealed class TestBroker : IAsyncLifetime
{
    readonly string _vhost = $"test-{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8))}";
    HttpClient? _management;

    /// <summary>What PULSE_RABBITMQ is for a worker.</summary>
    public Uri Address { get; private set; } = null!;

    /// <inheritdoc />
    public async Task InitializeAsync()
    {
        var broker = new Uri(await TestServers.AddressAsync("PULSE_RABBITMQ"));
        var management = new Uri(await TestServers.AddressAsync("PULSE_RABBITMQ_MANAGEMENT"));
        _management = new HttpClient { BaseAddress = new Uri(management.GetLeftPart(UriPartial.Scheme) + management.Authority) };
        _management.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue(
            "Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(Uri.UnescapeDataString(management.UserInfo))));

        var user = Uri.UnescapeDataString(broker.UserInfo.Split(':')[0]);
        (await _management.PutAsJsonAsync($"/api/vhosts/{_vhost}", new { })).EnsureSuccessStatusCode();
        (await _management.PutAsJsonAsync($"/api/permissions/{_vhost}/{user}", new { configure = ".*", write = ".*", read = ".*" }))
            .EnsureSuccessStatusCode();
        Address = new UriBuilder(broker) { Path = _vhost }.Uri;
    }

    /// <summary>How many messages are ready in a queue; null when there is no such queue. Asked of the queue, not of statistics.</summary>
    public async Task<int?> ReadyAsync(string queue)
    {
        await using var connection = await new RabbitMQ.Client.ConnectionFactory { Uri = Address }.CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync();
        try
        {
            return (int)(await channel.QueueDeclarePassiveAsync(queue)).MessageCount;
        }
        catch (RabbitMQ.Client.Exceptions.OperationInterruptedException)
        {
            return null;
        }
    }

    /// <summary>How many connections to the virtual host the broker lists.</summary>
    public async Task<int> ConnectionsAsync()
    {
        using var connections = JsonDocument.Parse(await _management!.GetStringAsync($"/api/vhosts/{_vhost}/connections"));
        return connections.RootElement.EnumerateArray().Count(connection => connection.TryGetProperty("name", out _));
    }

    /// <summary>Cuts every connection to the virtual host, as the death of the processes behind them would.</summary>
    /// <returns>How many were cut.</returns>
    public async Task<int> CutConnectionsAsync()
    {
        var cut = 0;
        using var connections = JsonDocument.Parse(await _management!.GetStringAsync($"/api/vhosts/{_vhost}/connections"));
        foreach (var connection in connections.RootElement.EnumerateArray())
        {
            if (connection.TryGetProperty("name", out var name))
            {
                using var response = await _management.DeleteAsync($"/api/connections/{Uri.EscapeDataString(name.GetString()!)}");
                cut += response.IsSuccessStatusCode ? 1 : 0;
            }
        }

        return cut;
    }

    /// <inheritdoc />
    public async Task DisposeAsync()
    {
        if (_management is null)
            return;

        using var response = await _management.DeleteAsync($"/api/vhosts/{_vhost}");
        _management.Dispose();
    }
}
