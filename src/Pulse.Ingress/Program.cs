using Pulse.Hosting;
using Pulse.Ingress;

return await PulseProcess.RunAsync(() => IngressProcess.Build(args));
