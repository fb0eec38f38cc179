// Sends a trace of three spans and two log records with the stock OTLP exporters, as an agent written in JavaScript does.
//
//   OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 OTEL_EXPORTER_OTLP_HEADERS=x-api-key=KEY node send.mjs proto|http|grpc
//
// Prints {"spans": [ids], "trace": id, "results": [codes]} of what was exported; code 0 is success.
import { trace, context, SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { LoggerProvider, BatchLogRecordProcessor } from "@opentelemetry/sdk-logs";

const encoding = process.argv[2];
const { OTLPTraceExporter } = await import(`@opentelemetry/exporter-trace-otlp-${encoding}`);
const { OTLPLogExporter } = await import(`@opentelemetry/exporter-logs-otlp-${encoding}`);

const results = [];
function watched(exporter) {
  const send = exporter.export.bind(exporter);
  exporter.export = (items, done) =>
    send(items, (result) => {
      results.push(result.code);
      if (result.error) console.error(result.error);
      done(result);
    });
  return exporter;
}

const resource = resourceFromAttributes({ "service.name": "refunds-js", "service.version": "2.3.1" });
const spans = new BatchSpanProcessor(watched(new OTLPTraceExporter()));
const provider = new BasicTracerProvider({ resource, spanProcessors: [spans] });
const tracer = provider.getTracer("refunds", "1.0.0");

const agent = tracer.startSpan("invoke_agent refunds", {
  kind: SpanKind.INTERNAL,
  attributes: {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": "refunds",
    "gen_ai.conversation.id": "conv-js-42",
  },
});
const inside = trace.setSpan(context.active(), agent);
const chat = tracer.startSpan(
  "chat",
  {
    kind: SpanKind.CLIENT,
    attributes: {
      "gen_ai.operation.name": "chat",
      "gen_ai.request.model": "small-1",
      "gen_ai.usage.input_tokens": 812,
      "score": 0.65,
      "stop": ["a", "b"],
      "cached": true,
    },
  },
  inside,
);
chat.addEvent("counterfoil.fallback", { "counterfoil.fallback.trigger": "timeout", "counterfoil.fallback.to": "rules" });
chat.setStatus({ code: SpanStatusCode.ERROR, message: "the model did not answer" });
chat.end();
const tool = tracer.startSpan("execute_tool", { attributes: { "gen_ai.operation.name": "execute_tool" } }, inside);
tool.end();
agent.end();

const logger = new LoggerProvider({
  resource,
  processors: [new BatchLogRecordProcessor(watched(new OTLPLogExporter()))],
});
for (const outcome of ["deny", "escalate"]) {
  logger.getLogger("refunds").emit({
    eventName: "counterfoil.decision",
    body: `the refund: ${outcome}`,
    attributes: { "counterfoil.decision.type": "refund", "counterfoil.decision.outcome": outcome },
    context: inside,
  });
}

await provider.forceFlush();
await logger.forceFlush();
await provider.shutdown();
await logger.shutdown();
const ids = [agent, chat, tool].map((span) => span.spanContext().spanId);
console.log(JSON.stringify({ spans: ids, trace: agent.spanContext().traceId, results }));
