/** Signs `{"path": …}` with the secret LINK_KEY, so that whoever holds the link may read it. */
import { type Handler, object, problem } from "../../types.ts";

const shareLink: Handler = async (request, { secrets }) => {
  const { path } = await object(request);
  if (typeof path !== "string" || !path) {
    return problem(400, "validation_failed", "path is required");
  }
  if (!secrets.LINK_KEY) {
    return problem(500, "no_secret", "LINK_KEY is not set");
  }
  const encoder = new TextEncoder();
  const key = await crypto.subtle.importKey(
    "raw",
    encoder.encode(secrets.LINK_KEY),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["sign"],
  );
  const signature = await crypto.subtle.sign("HMAC", key, encoder.encode(path));
  return Response.json({ path, signature: new Uint8Array(signature).toHex() });
};

export default shareLink;
