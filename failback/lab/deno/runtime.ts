/**
 * One side's functions: `deno run runtime.ts PORT FUNCTIONS STATE SECRETS PRODUCT_URL [DISABLED]`.
 *
 * DISABLED names functions, with commas between, that are disabled while there is no STATE file.
 * The admin API's token comes by FAILBACK_LAB_ADMIN_TOKEN, because anybody can read arguments.
 */
import { admin } from "./admin.ts";
import { State } from "./state.ts";
import { problem } from "./types.ts";

const PREFIX = "/functions/v1/";
const [port, folder, file, secretsFile, productUrl, disabled = ""] = Deno.args;
const token = Deno.env.get("FAILBACK_LAB_ADMIN_TOKEN");
if (!token || !productUrl) {
  console.error("The runtime needs its arguments, and FAILBACK_LAB_ADMIN_TOKEN.");
  Deno.exit(2);
}
const names = disabled.split(",").filter((name) => name);
const state = await State.load(folder, file, secretsFile, names);

async function answer(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname === "/health") return Response.json({ status: "ok" });
  const administered = await admin(request, state, token!);
  if (administered) return administered;
  const name = pathname.startsWith(PREFIX) ? pathname.slice(PREFIX.length).split("/")[0] : "";
  const handler = state.handler(name);
  if (!handler) return problem(404, "NOT_FOUND", "Requested function was not found");
  if (!state.isEnabled(name)) {
    return problem(503, "function_disabled", `Function ${name} is disabled here.`);
  }
  if (state.hasExpired(name)) {
    return problem(410, "function_expired", `Function ${name} has expired.`);
  }
  return await handler(request, { secrets: state.secrets(), productUrl });
}

const server = Deno.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  onListen: () => {},
}, async (request) => {
  try {
    return await answer(request);
  } catch (thrown) {
    // Helpers of functions throw the answer itself.
    if (thrown instanceof Response) return thrown;
    console.error(`${request.method} ${new URL(request.url).pathname} failed:`, thrown);
    return problem(500, "unexpected_failure", "The function made a mistake.");
  }
});
Deno.addSignalListener("SIGTERM", () => server.shutdown());
