// A refund desk in the Vercel AI SDK, offline: its own telemetry, OpenTelemetry's exporter, and nothing of Counterfoil's.
//
//   OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 OTEL_EXPORTER_OTLP_HEADERS=x-api-key=KEY node refunds.mjs CONVERSATION
//
// One run: a tool that works, one that fails, and billing asked through a tool (an agent as a tool).
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { ToolLoopAgent, stepCountIs, tool } from "ai";
import { MockLanguageModelV3 } from "ai/test";
import { z } from "zod";

const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ "service.name": "refund-desk-js" }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
trace.setGlobalTracerProvider(provider);
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());

const usage = { inputTokens: { total: 20, noCache: 20 }, outputTokens: { total: 8, text: 8 } };

/** A model that gives these answers in turn: a text, or the tool to call with its input. */
function model(modelId, ...answers) {
  let number = 0;
  return new MockLanguageModelV3({
    provider: "desk",
    modelId,
    doGenerate: async () => {
      const answer = answers[number++];
      const text = typeof answer === "string";
      const content = text
        ? [{ type: "text", text: answer }]
        : [
            { type: "reasoning", text: answer.because },
            { type: "tool-call", toolCallId: `call-${number}`, toolName: answer.tool, input: JSON.stringify(answer.input) },
          ];
      const unified = text ? "stop" : "tool-calls";
      return { content, finishReason: { unified, raw: unified }, usage, warnings: [], response: { modelId } };
    },
  });
}

function telemetry(functionId, conversation) {
  return { isEnabled: true, functionId, metadata: { sessionId: conversation } };
}

const conversation = `${process.argv[2]}-handoff`;
const billing = new ToolLoopAgent({
  id: "billing_agent",
  model: model("billing-large", "Refund refused: bought 41 days ago, R-12 allows 30."),
  experimental_telemetry: telemetry("billing_agent", conversation),
});
const triage = new ToolLoopAgent({
  id: "triage_agent",
  model: model(
    "triage-small",
    { tool: "order_status", input: { order: "ORD-77" }, because: "I need the date of purchase first." },
    { tool: "payment_history", input: { order: "ORD-77" }, because: "Now the payments." },
    { tool: "ask_billing", input: { question: "May ORD-77 be refunded?" }, because: "Payments cannot be read." },
    "Your refund was refused: the 30 days are over.",
  ),
  tools: {
    order_status: tool({
      description: "When an order was bought and delivered.",
      inputSchema: z.object({ order: z.string() }),
      execute: async ({ order }) => `${order}: bought 41 days ago, delivered`,
    }),
    payment_history: tool({
      description: "The payments of an order.",
      inputSchema: z.object({ order: z.string() }),
      execute: async ({ order }) => {
        throw new Error(`payments of ${order} cannot be read: timed out after 3 s`);
      },
    }),
    ask_billing: tool({
      description: "Ask the billing department's agent.",
      inputSchema: z.object({ question: z.string() }),
      execute: async ({ question }) => (await billing.generate({ prompt: question })).text,
    }),
  },
  stopWhen: stepCountIs(6),
  experimental_telemetry: telemetry("triage_agent", conversation),
});

const done = await triage.generate({ prompt: "I want my money back for ORD-77." });
console.log(done.text);
await provider.forceFlush();
await provider.shutdown();
