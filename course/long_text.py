"""不是一课  太长的评论先切短再分词，结果不变

模型只看前 max_length 个 token，分词器却要把整条分完，每个 token 占一百多字节：两千万字的一条
要 4 GB。
"""

from transformers import PreTrainedTokenizerBase

FIRST = 8  # 先看开头 max_length 几倍的字：中文一个字一个 token，英文四五个字母一个
MAX_CHARACTERS = 200_000  # 最多看多少个字


def last_word(encoding) -> int | None:
    """一段 token 里最后一个词的编号，一个词也没有时是 None"""
    return next((word for word in reversed(encoding.word_ids) if word is not None), None)


def opening(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    """text 的开头，前 max_length 个 token 和整条的一样

    只切在用不着的地方：max_length 个 token 之后，这一段里还有别的词。最后一个词不算，它可能
    正被切成两半。开头 MAX_CHARACTERS 个字还凑不够 max_length 个 token 的（全是空格、一个词几万个
    字母），就只看这么多。
    """
    size = FIRST * tokenizer.model_max_length
    while size < min(len(text), MAX_CHARACTERS):
        encoding = tokenizer(text[:size], truncation=True).encodings[0]
        parts = [encoding, *encoding.overflowing]  # 装不下的 token 在 overflowing 里
        if last_word(parts[-1]) != last_word(encoding):
            return text[:size]
        size *= 2
    return text[:MAX_CHARACTERS]
