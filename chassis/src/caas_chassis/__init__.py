"""The chassis: what every service needs to speak safely over Kafka and PostgreSQL. It knows no service."""
