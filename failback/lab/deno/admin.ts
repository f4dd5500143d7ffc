/** The admin API of a runtime, as docs/functions.md describes it, and the lab's faults. */
import { problem } from "./types.ts";
import { State } from "./state.ts";

const PREFIX = "/_admin";

/** Answers a request below `/_admin`; nothing where it is for somebody else. */
export async function admin(
  request: Request,
  state: State,
  token: string,
): Promise<Response | undefined> {
  const path = new URL(request.url).pathname;
  if (path !== PREFIX && !path.startsWith(`${PREFIX}/`)) return undefined;
  if (!await same(request.headers.get("Authorization") ?? "", `Bearer ${token}`)) {
    return problem(401, "bad_token", "The admin API wants its own token.");
  }
  const [area, name, what] = path.slice(PREFIX.length + 1).split("/").map(decodeURIComponent);
  const route = `${request.method} ${area}`;
  if (route === "GET secrets" && !name) {
    return Response.json({ secrets: await state.secretDigests() });
  }
  if (route === "GET faults" && !name) return Response.json(state.faults());
  if (route === "PUT faults" && !name) {
    state.setFaults(await request.json());
    return Response.json(state.faults());
  }
  if (area !== "functions") return problem(404, "NOT_FOUND", "There is nothing here.");
  if (!name) return Response.json({ functions: state.functions() });
  const known = state.functions().find((one) => one.name === name);
  if (!known) return problem(404, "NOT_FOUND", "Requested function was not found");
  if (request.method === "GET" && !what) return Response.json(known);
  if (request.method === "PUT" && what === "enabled") {
    const { enabled } = await request.json();
    if (typeof enabled !== "boolean") {
      return problem(400, "validation_failed", "enabled is true or false");
    }
    state.enable(name, enabled);
    return Response.json(state.functions().find((one) => one.name === name));
  }
  return problem(405, "not_allowed", "GET a function, or PUT its `enabled`.");
}

/** Compares digests, so that the time tells nothing of the token. */
async function same(shown: string, wanted: string): Promise<boolean> {
  const [one, other] = await Promise.all([shown, wanted].map(digest));
  return one.every((byte, index) => byte === other[index]);
}

async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
