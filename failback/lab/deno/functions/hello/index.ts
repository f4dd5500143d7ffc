/** Greets, as the first function of every project does. */
import { type Handler, object } from "../../types.ts";

const hello: Handler = async (request) => {
  const { name } = await object(request);
  return Response.json({ message: `Hello ${name || "Functions"}!` });
};

export default hello;
