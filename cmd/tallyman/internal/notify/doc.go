// Package notify tells people what happens in an archive: by mail, by a command, by a signed
// webhook, or in the chats of DingTalk, Feishu, WeCom and Slack.
//
// Its words:
//
//   - A target is one place that messages go to, and what it wants to hear of.
//   - A service is how messages get there.
//   - A topic is a kind of what happens, such as failed or damage.
//   - A message is what a target is told at once: all that happened since it was told last.
//   - A ping is a request that tells nothing: whoever serves its URL notices if none comes.
package notify
