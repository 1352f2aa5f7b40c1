using System.Collections;
using System.Text;
using System.Text.RegularExpressions;
using MassTransit;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using Pulse.Hosting;
using Pulse.Messaging;
using Pulse.Messaging.Sagas;
using Pulse.Worker.Provisioning;

namespace Pulse.Tests.House;

/// <summary>
/// The names under which the worker's queues, inbox rows, sagas and ids outlive a build. An endpoint's name is also the consumer id
/// of its inbox rows. Under another name, a queue's messages are left behind and what was done is done again.
/// </summary>
public sealed partial class Frozen_names
{
    const string Approved = "tests/Pulse.Tests/House/frozen-names.approved.txt";

    [Fact]
    public async Task Names_that_outlive_a_build_are_as_approved()
    {
        var now = await DescribeAsync();
        var path = Path.Combine(Sources.Root, Approved);
        if (Environment.GetEnvironmentVariable("PULSE_APPROVE") == "1")
            await File.WriteAllTextAsync(path, now);

        var approved = File.Exists(path) ? (await File.ReadAllTextAsync(path)).ReplaceLineEndings("\n") : "";
        Assert.True(now == approved, $"""
            The names that outlive a build are not what {Approved} says. Now they are:

            {now}
            A new name is fine. A queue that is renamed leaves its messages and its inbox behind; one with other arguments can't be declared while the old one is there; a renamed saga loses its instances; a renamed step gives a repeated one another id.
            When it is meant: PULSE_APPROVE=1 dotnet test tests/Pulse.Tests --filter {nameof(Frozen_names)}, and commit the file.
            """);
    }

    static async Task<string> DescribeAsync()
    {
        var settings = new Settings(new ConfigurationBuilder().Build());
        var services = new ServiceCollection();
        services.AddLogging();
        services.AddSingleton(TimeProvider.System);
        services.AddSingleton(_ => NpgsqlDataSource.Create("Host=nowhere"));
        services.AddPulseMessaging(new MessagingOptions { Broker = new Uri("amqp://nobody@nowhere/none") }, bus =>
        {
            foreach (var slice in Slices())
                slice.Invoke(null, [bus, settings]);
        });

        var text = new StringBuilder();
        await using var provider = services.BuildServiceProvider();
        var probe = provider.GetRequiredService<IBusControl>().GetProbeResult().Results;
        foreach (var endpoint in All(probe, "bus", "host", "receiveEndpoint").OrderBy(endpoint => (string)endpoint["name"], StringComparer.Ordinal))
        {
            foreach (var queue in All(endpoint, "receiveTransport", "topology", "queue").Where(queue => !Temporary(queue)))
            {
                text.Append("queue ").Append(queue["name"]).Append('\n');
                foreach (var argument in All(queue, "argument"))
                    text.Append("  ").Append(argument["key"]).Append(": ").Append(argument.TryGetValue("value", out var value) ? value : "''").Append('\n');
            }

            foreach (var source in All(endpoint, "receiveTransport", "topology", "exchange-binding").Select(binding => (string)binding["source"]).Order(StringComparer.Ordinal))
                text.Append("  takes ").Append(source).Append('\n');
        }

        foreach (var saga in services.Select(service => service.ImplementationInstance?.GetType() is { IsGenericType: true } type && type.GetGenericTypeDefinition() == typeof(SagaMap<>)
            ? (string)type.GetProperty("Name")!.GetValue(service.ImplementationInstance)!
            : null).OfType<string>().Order(StringComparer.Ordinal))
            text.Append("saga ").Append(saga).Append('\n');

        foreach (var step in Sources.Files("src", "*.cs").SelectMany(file => Step().Matches(Sources.Read(file))).Select(match => match.Groups[1].Value).Distinct().Order(StringComparer.Ordinal))
            text.Append("step ").Append(step).Append('\n');

        return text.ToString();
    }

    // As Program.cs does, but all there are: none is forgotten here.
    static IEnumerable<System.Reflection.MethodInfo> Slices() =>
        from type in typeof(ProvisioningSaga).Assembly.GetTypes()
        where type.Name.EndsWith("Slice", StringComparison.Ordinal)
        select type.GetMethod("Add", [typeof(IBusRegistrationConfigurator), typeof(Settings)])
            ?? throw new InvalidOperationException($"{type.Name} has no Add(IBusRegistrationConfigurator, Settings).");

    // The bus' own, for answers to requests: it is gone with the process.
    static bool Temporary(IDictionary<string, object> queue) => All(queue, "argument").Any(argument => argument["key"] is "x-expires");

    // One is a dictionary, several are a list of them, none is nothing.
    static IEnumerable<IDictionary<string, object>> All(IDictionary<string, object> scope, params string[] path)
    {
        IEnumerable<IDictionary<string, object>> found = [scope];
        foreach (var name in path)
        {
            found = found.SelectMany(inner => inner.TryGetValue(name, out var value) ? value switch
            {
                IDictionary<string, object> one => [one],
                IEnumerable several => several.OfType<IDictionary<string, object>>(),
                _ => [],
            } : []);
        }

        return found;
    }

    [GeneratedRegex("""StepId\.Of\([^;]*?"([^"]+)"\)""")]
    private static partial Regex Step();
}
