using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using MassTransit;
using Pulse.Contracts.Signups;

namespace Pulse.Tests.House;

/// <summary>
/// Messages outlive the build that sent them: in queues, in the outbox, as dead letters. So a change to one is made on purpose, or not at all.
/// </summary>
public sealed class Wire_contract
{
    const string Approved = "tests/Pulse.Tests/House/wire-contract.approved.txt";

    [Fact]
    public void Messages_on_the_wire_are_as_approved()
    {
        var now = Describe(typeof(SignupRequested).Assembly);
        var path = Path.Combine(Sources.Root, Approved);
        if (Environment.GetEnvironmentVariable("PULSE_APPROVE") == "1")
            File.WriteAllText(path, now);

        var approved = File.Exists(path) ? File.ReadAllText(path).ReplaceLineEndings("\n") : "";
        if (now == approved)
            return;

        var before = approved.Split('\n');
        var after = now.Split('\n');
        Assert.Fail($"""
            The messages of Pulse.Contracts are not what {Approved} says:
            {string.Join('\n', Difference(before, after))}
            A new message, or a new property that is not required, can be read by old and new builds alike. Anything else (renamed, moved, removed, another type, newly required) breaks what lies in queues: make a new message beside the old one instead.
            When it is meant: PULSE_APPROVE=1 dotnet test tests/Pulse.Tests --filter {nameof(Wire_contract)}, and commit the file.
            """);
    }

    // Each line is whole in itself, so the lines that only one side has are the difference.
    static IEnumerable<string> Difference(string[] before, string[] after) =>
        Under(before).Except(Under(after)).Select(line => "  - " + line).Concat(Under(after).Except(Under(before)).Select(line => "  + " + line));

    static IEnumerable<string> Under(string[] lines)
    {
        var type = "";
        foreach (var line in lines.Where(line => line.Length > 0))
        {
            if (!line.StartsWith(' '))
                type = line;
            yield return line.StartsWith(' ') ? $"{type} › {line.Trim()}" : line;
        }
    }

    static string Describe(Assembly contracts)
    {
        var text = new StringBuilder();
        foreach (var type in contracts.GetExportedTypes().OrderBy(type => type.FullName, StringComparer.Ordinal))
        {
            // What both processes agree on beside messages, such as the form of a key: nothing of it lies in a queue.
            if (type is { IsAbstract: true, IsSealed: true })
                continue;
            if (type.IsEnum)
            {
                text.Append("enum ").Append(type.FullName).Append('\n');
                foreach (var name in Enum.GetNames(type))
                    text.Append("  ").Append(name).Append(" = ").Append(Convert.ToInt64(Enum.Parse(type, name), null)).Append('\n');
                continue;
            }

            // The name by which MassTransit finds a consumer.
            text.Append(MessageUrn.ForTypeString(type)).Append('\n');
            foreach (var property in type.GetProperties(BindingFlags.Public | BindingFlags.Instance).OrderBy(property => property.Name, StringComparer.Ordinal))
            {
                text.Append("  ").Append(JsonNamingPolicy.CamelCase.ConvertName(property.Name)).Append(": ").Append(NameOf(property));
                if (property.IsDefined(typeof(RequiredMemberAttribute)))
                    text.Append(", required");
                text.Append('\n');
            }
        }

        return text.ToString();
    }

    static string NameOf(PropertyInfo property)
    {
        var nullable = new NullabilityInfoContext().Create(property).ReadState == NullabilityState.Nullable;
        return NameOf(Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType) + (nullable ? "?" : "");
    }

    static string NameOf(Type type) => type.IsGenericType
        ? $"{type.Name[..type.Name.IndexOf('`', StringComparison.Ordinal)]}<{string.Join(", ", type.GetGenericArguments().Select(NameOf))}>"
        : type.Namespace == "System" ? type.Name : type.FullName ?? type.Name;
}
