using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Pulse.Testing;

namespace Pulse.EndToEnd.Nemesis;

/// <summary>
/// One more RabbitMQ, in a cluster with one that <c>./pulse</c> has started: under the same cookie and epmd, with a node name, ports and
/// data of its own. Loopback only, like that one.
/// </summary>
sealed class BrokerNode : IAsyncDisposable
{
    readonly string _home = Directory.CreateTempSubdirectory("pulse-broker-").FullName;
    readonly string _programs;
    readonly Dictionary<string, string> _environment;
    readonly int _port = FreePort();
    Process? _process;

    /// <param name="number">Its place in the cluster, which is in its name.</param>
    /// <param name="seed">The process id of the node that it joins.</param>
    public BrokerNode(int number, int seed)
    {
        var environment = File.ReadAllText($"/proc/{seed}/environ").Split('\0')
            .Select(variable => variable.Split('=', 2)).Where(parts => parts.Length == 2).ToDictionary(parts => parts[0], parts => parts[1]);
        _programs = Path.GetFullPath(Path.Combine(environment["ERL_LIBS"], "..", "sbin"));
        var joined = environment["RABBITMQ_NODENAME"];
        _environment = new()
        {
            ["PATH"] = environment["PATH"],
            ["HOME"] = environment["HOME"],
            ["LANG"] = "C.UTF-8",
            ["RUNNING_UNDER_SYSTEMD"] = "true",
            ["ERL_EPMD_PORT"] = environment["ERL_EPMD_PORT"],
            ["ERL_EPMD_ADDRESS"] = "127.0.0.1",
            ["RABBITMQ_DIST_PORT"] = $"{FreePort()}",
            ["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] = "-kernel inet_dist_use_interface {127,0,0,1}",
            ["RABBITMQ_NODENAME"] = joined.Replace("@", $"-{number}@", StringComparison.Ordinal),
            ["RABBITMQ_LOGS"] = "-",
            ["RABBITMQ_MNESIA_BASE"] = Path.Combine(_home, "mnesia"),
            ["RABBITMQ_LOG_BASE"] = Path.Combine(_home, "log"),
            ["RABBITMQ_CONF_ENV_FILE"] = Write("rabbitmq-env.conf", ""),
            ["RABBITMQ_ADVANCED_CONFIG_FILE"] = Write("advanced.config", "[].\n"),
            ["RABBITMQ_ENABLED_PLUGINS_FILE"] = Write("enabled_plugins", "[].\n"),
            ["RABBITMQ_GENERATED_CONFIG_DIR"] = Path.Combine(_home, "config"),
            ["RABBITMQ_SCHEMA_DIR"] = Path.Combine(_home, "schema"),
            ["RABBITMQ_PID_FILE"] = Path.Combine(_home, "pid"),
            ["RABBITMQ_CONFIG_FILE"] = Write("rabbitmq.conf", $"""
                listeners.tcp.local = 127.0.0.1:{_port}
                cluster_formation.peer_discovery_backend = classic_config
                cluster_formation.classic_config.nodes.1 = {joined}
                disk_free_limit.absolute = 50MB

                """),
        };
    }

    /// <summary>A node's host and port, as they stand in PULSE_RABBITMQ.</summary>
    public string Endpoint => $"127.0.0.1:{_port}";

    public void Start() => _process = Run("rabbitmq-server");

    /// <summary>Waits until it takes connections, which it does not before it has joined.</summary>
    public Task ReadyAsync() => Eventually.Until(
        () =>
        {
            Assert.False(_process!.HasExited, $"A node of RabbitMQ ended by itself: {Output("rabbitmq-server")}");
            using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            try
            {
                socket.Connect(IPAddress.Loopback, _port);
                return true;
            }
            catch (SocketException)
            {
                return false;
            }
        },
        TimeSpan.FromSeconds(90), "a node of RabbitMQ joined");

    /// <summary>kill -9, and waits until it is gone.</summary>
    public void Kill()
    {
        _process!.Kill();
        _process.WaitForExit();
        _process = null;
    }

    /// <summary>How many members of a quorum queue are up.</summary>
    public async Task<int> MembersAsync(string queue)
    {
        using var control = Run("rabbitmqctl", "--quiet", "list_queues", "--vhost", "pulse", "name", "online");
        await control.WaitForExitAsync();
        var line = (await File.ReadAllLinesAsync(Output("rabbitmqctl"))).Last(line => line.StartsWith($"{queue}\t", StringComparison.Ordinal));
        return line.Split(',').Length;
    }

    // What README tells an operator of 3.10 to do: the queue stands in its table as led by a node that is gone, and whoever publishes is refused.
    const string ElectExpression = """
        length([ra:trigger_election({Name, node()}) || Queue <- rabbit_amqqueue:list(), amqqueue:get_type(Queue) =:= rabbit_quorum_queue,
            {Name, Leader} <- [amqqueue:get_pid(Queue)], not lists:member(Leader, [node() | nodes()])]).
        """;

    /// <summary>Waits until no queue is led by a node that is gone, and has those elect whose leader is.</summary>
    public Task ElectedAsync() => Eventually.Until(
        async () =>
        {
            using var control = Run("rabbitmqctl", "--quiet", "eval", ElectExpression);
            await control.WaitForExitAsync();
            return (await File.ReadAllLinesAsync(Output("rabbitmqctl"))).LastOrDefault() == "0";
        },
        TimeSpan.FromSeconds(90), "every queue has a leader that is up");

    public ValueTask DisposeAsync()
    {
        if (_process is not null)
            Kill();
        Directory.Delete(_home, recursive: true);
        return ValueTask.CompletedTask;
    }

    // By way of a shell, for the log; it becomes the process, so that there is nothing else to kill.
    Process Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo("/bin/bash", ["-c", "exec \"$@\" >>\"$0\" 2>&1 </dev/null", Output(program), Path.Combine(_programs, program), .. arguments]);
        start.Environment.Clear();
        foreach (var (name, value) in _environment)
            start.Environment[name] = value;
        return Process.Start(start)!;
    }

    string Output(string program) => Path.Combine(_home, $"{program}.log");

    string Write(string file, string text)
    {
        var path = Path.Combine(_home, file);
        File.WriteAllText(path, text);
        return path;
    }

    static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
