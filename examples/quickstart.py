"""A labelled dataset in a few lines. It runs as it is; name a real model for rows of real use."""

from rowsmith import ClassificationDataset, ClassificationDatasetConfig, PromptExpansionConfig

config = ClassificationDatasetConfig(
    classes=[
        {"name": "positive", "description": "Text expressing positive emotions"},
        {"name": "negative", "description": "Text expressing negative emotions"},
    ],
    num_samples_per_prompt=5,
    output_file="sentiment_dataset.jsonl",
    languages={"en": "English", "fr": "French"},
    prompts=["Write {num_samples} {{length}} reviews in {language_name} that are {label_name}: {label_description}."],
    expansion=PromptExpansionConfig(placeholders={"length": ["short", "long"]}, combinatorial=True),
)
dataset = ClassificationDataset(config)

model = "offline"  # such as "openai/gpt-5-mini", with OPENAI_API_KEY set, or "ollama/gemma3:4b"
print(dataset.get_num_expected_rows(llms=model))  # 40

dataset.generate(llms=model)
for row in dataset.rows[:3]:
    print(f"{row['label']} ({row['language']}): {row['text']}")
