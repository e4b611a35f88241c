"""What people say of answers: decisions about suspects, and users' votes."""
