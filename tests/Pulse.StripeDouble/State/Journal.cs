using System.Text.Json;

namespace Pulse.StripeDouble.State;

/// <summary>
/// Keeps an account in a file over a restart, as Stripe keeps it: a line for each new state of a resource, the last one counts.
/// A line that was cut off by a kill is left out.
/// </summary>
sealed class Journal : IDisposable
{
    static readonly Dictionary<string, Type> Kinds = typeof(Resource).Assembly.GetTypes()
        .Where(type => type.IsSubclassOf(typeof(Resource))).ToDictionary(type => type.Name);

    readonly StreamWriter _file;

    Journal(StreamWriter file) => _file = file;

    /// <summary>Tells what is in a file, in its order, and goes on writing to it.</summary>
    public static Journal Open(string path, Action<Resource> recall, Action<string, string> forget)
    {
        foreach (var line in File.Exists(path) ? File.ReadAllLines(path) : [])
        {
            if (line.IndexOf(' ', StringComparison.Ordinal) is var space && space > 0 && Kinds.TryGetValue(line[..space], out var kind) && line.EndsWith('}'))
                recall((Resource)JsonSerializer.Deserialize(line.AsSpan(space), kind)!);
            else if (line.StartsWith('-') && line.Split(' ') is [_, var name, var id])
                forget(name, id);
        }

        // What a kill cut off ends here.
        return new Journal(new StreamWriter(new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.Read)) { AutoFlush = true, NewLine = "\n" })
            .Fresh();
    }

    public void Write(Resource resource) => _file.WriteLine($"{resource.GetType().Name} {JsonSerializer.Serialize(resource, resource.GetType())}");

    public void Strike(Resource resource) => _file.WriteLine($"- {resource.GetType().Name} {resource.Id}");

    public void Dispose() => _file.Dispose();

    Journal Fresh()
    {
        _file.WriteLine();
        return this;
    }
}
